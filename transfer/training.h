// What the training parts share: batches drawn from a seed, one step with every part's penalty, a number of plain
// steps.
#pragma once
#include <span>

#include "transfer/method.h"

namespace holt::transfer {

/// Batches without end: epoch after epoch in an order of (seed, epoch), each batch full (or all samples, where there
/// are fewer). Normalised f32 on the device.
class Batches {
 public:
  /// Of the samples at `positions`.
  Batches(const data::Dataset& dataset, std::vector<int64_t> positions, const data::Normalize& normalize, int64_t batch,
          uint64_t seed, Device device);
  /// Of all samples.
  Batches(const data::Dataset& dataset, const data::Normalize& normalize, int64_t batch, uint64_t seed, Device device);
  struct Batch {
    Tensor images, labels;
  };
  Batch next();

 private:
  const data::Dataset& dataset_;
  std::vector<int64_t> positions_, order_;
  data::LoaderOptions options_;
  Device device_;
  int64_t epoch_ = 0, at_ = 0;
};

struct StepResult {
  double loss = 0, accuracy = 0;
};
/// One step of `optimizer` on the objective and every part's penalty. `model` is in the mode that its caller chose.
/// A loss that is not finite is an Error that names step and layer; then no weight was changed by this step.
StepResult train_step(const Adaptation& a, nn::Model& model, nn::Optimizer& optimizer, const Batches::Batch& batch,
                      double factor, int64_t step);

/// SGD as the options say, on the model's trainable parameters.
std::unique_ptr<nn::Optimizer> make_sgd(const Adaptation& a, nn::Model& model, double lr);

/// With f16 gives the optimiser a loss scale. A tenth of the usual number of steps is all that an adaptation has, and
/// LOLSGD's locals begin anew each round: S begins at 1024, where fewer of them are lost to overflows than at 65536.
void scale_loss(const Adaptation& a, nn::Optimizer& optimizer);

/// Plain fine-tuning of a.classifier.model: `steps` steps at learning rate `lr` on a.train.
void fine_tune(Adaptation& a, int64_t steps, double lr);

/// Error if the run was cancelled.
void check_cancelled(const Adaptation& a);

/// f(0) … f(n − 1) on `workers` threads, each limited to one core and recording and casting as the caller does; an
/// exception of the first index that failed is thrown again after all have ended.
void in_parallel(int64_t n, int64_t workers, const std::function<void(int64_t)>& f);

/// A seed for one use of another seed: equal (seed, name, index) give the same, all others differ.
uint64_t derive_seed(uint64_t seed, const std::string& name, uint64_t index = 0);

}  // namespace holt::transfer
