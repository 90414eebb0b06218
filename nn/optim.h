// Optimisers on top of kernels/optimizer.h: one launch for all parameters of a group.
//
//   SGD sgd(model.named_parameters(), {.lr = 0.1, .momentum = 0.9, .nesterov = true, .weight_decay = 5e-4});
//
//   loss.backward();
//   sgd.step(schedule::cosine(t, {.total = steps}), {.max_norm = 1});
//   sgd.zero_grad();
//
// Parameters without a gradient (frozen, or unused in this step) stay as they are, weight decay included. Make the
// optimiser after moving the module: it keeps the parameters' tensors.
#pragma once
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <span>

#include "nn/grad_scaler.h"
#include "nn/module.h"
#include "nn/state.h"

namespace holt {
template <class G>
struct OptimizerSlot;  // kernels/optimizer.h
struct StepControl;
}  // namespace holt

namespace holt::nn {

/// Parameters with settings of their own; what is not set comes from the optimiser's options.
struct ParameterGroup {
  TensorList parameters;
  std::optional<double> lr = {}, weight_decay = {};
};

/// Two groups: tensors of several axes, which decay as the optimiser's options say, and biases and normalisation
/// parameters (one axis), which do not: it would only pull their outputs to zero.
std::vector<ParameterGroup> decay_groups(const TensorList& parameters);

struct Clip {
  double max_norm = std::numeric_limits<double>::infinity();
};

class Optimizer {
 public:
  virtual ~Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  /// One step along the gradients. Every learning rate is multiplied by `factor`, a schedule's value. A finite max_norm
  /// scales the gradients, as the step reads them, by min(1, max_norm / (N + 1e-6)), N = ‖g‖₂ over all parameters.
  void step(double factor = 1, Clip clip = {});
  /// While a graph records the step (kernels/graph.h), the factor of the replays to come; lr, weight_decay and the
  /// count of steps are read anew for each.
  void set_replay_factor(double factor) { replay_factor_ = factor; }
  /// N of the last step that clipped or scaled; waits for the device. Error if there was none.
  double last_grad_norm() const;
  /// Drops the gradients.
  void zero_grad();

  /// From now on step() expects gradients of scaled(loss), divides by S as it reads them, and changes nothing but S
  /// where one is not finite (nn/grad_scaler.h). The scaler joins the state, as "scaler.…".
  void use(GradScaler scaler) { scaler_ = std::move(scaler); }
  /// loss·S; without a scaler the loss itself.
  Tensor scaled(const Tensor& loss) const { return scaler_ ? scaler_->scale(loss) : loss; }
  const std::optional<GradScaler>& scaler() const { return scaler_; }

  /// What a resumed run needs: "step" (i64 scalar) and the tensors beside each parameter that was stepped
  /// ("momentum.conv1.weight", …), sharing the optimiser's memory.
  State state() const;
  /// Replaces the state; elements are copied to the parameters' device. One Error lists what is missing, misshapen or
  /// unexpected (other parameters', another optimiser's); then the optimiser is as before.
  void load_state(const State& state);

  /// Steps taken, not counting those that a scaler skipped. Waits for the device if there was a scaler.
  int64_t steps() const;
  /// May be changed between steps: lr and weight_decay; the parameters may not.
  std::vector<ParameterGroup>& groups() { return groups_; }

 protected:
  Optimizer(std::string name, std::vector<ParameterGroup> groups, double lr, double weight_decay,
            std::vector<std::string> slots);
  using Parameters = std::span<const OptimizerSlot<float>>;
  /// What a step is made of: lr and weight_decay of a group, the number of the step from 1 on.
  struct Now {
    double lr, weight_decay;
    int64_t step;
  };
  /// One launch over the parameters of a group. `control` is on `device`, or null. `now` is asked in the call, or,
  /// while a graph records, before each replay.
  virtual void update(Device device, Parameters parameters, const std::function<Now()>& now,
                      const StepControl* control) = 0;

 private:
  std::string name_;
  std::vector<ParameterGroup> groups_;
  double lr_, weight_decay_;
  std::vector<std::string> slot_names_;
  std::map<std::string, std::vector<Tensor>> slots_;  // by parameter; made when it is first stepped
  Tensor control_;                                    // a StepControl as bytes, once a step needed one
  int64_t steps_ = 0;                                 // calls of step(); the skipped ones are in control_
  double replay_factor_ = 1;
  std::optional<GradScaler> scaler_;
  bool scaled_ = false;  // a step had a scaler: some may have been skipped
};

struct SGDOptions {
  double lr = 0.1, momentum = 0;
  bool nesterov = false;
  double weight_decay = 0;
};

/// Stochastic gradient descent as in PyTorch (weight decay joins the gradient, no dampening):
///   g ← g + λ·x    v ← μ·v + g    x ← x − lr·(nesterov ? g + μ·v : v)
class SGD : public Optimizer {
 public:
  SGD(TensorList parameters, SGDOptions options) : SGD({ParameterGroup{std::move(parameters)}}, options) {}
  SGD(std::vector<ParameterGroup> groups, SGDOptions options);

 protected:
  void update(Device, Parameters, const std::function<Now()>& now, const StepControl* control) override;

 private:
  SGDOptions options_;
};

struct AdamWOptions {
  double lr = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0.01;
};

/// Adam with decoupled weight decay (Loshchilov & Hutter 2019, algorithm 2):
///   m ← β₁·m + (1 − β₁)·g    v ← β₂·v + (1 − β₂)·g²
///   x ← x − lr·(m / (1 − β₁ᵗ) / (√(v / (1 − β₂ᵗ)) + eps) + λ·x)
class AdamW : public Optimizer {
 public:
  AdamW(TensorList parameters, AdamWOptions options = {}) : AdamW({ParameterGroup{std::move(parameters)}}, options) {}
  AdamW(std::vector<ParameterGroup> groups, AdamWOptions options = {});

 protected:
  void update(Device, Parameters, const std::function<Now()>& now, const StepControl* control) override;

 private:
  AdamWOptions options_;
};

/// ‖g‖₂ over the gradients of all `parameters` together, those without one counting as zero. Waits for the device.
double grad_norm(const std::vector<Tensor>& parameters);

}  // namespace holt::nn
