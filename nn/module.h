// Modules: layers, and what is built of layers.
//
// A module is a plain class with its tensors and its layers as members, and one list that names them:
//
//   class Linear : public Cloneable<Linear> {
//    public:
//     Tensor weight, bias;
//     Tensor forward(const Tensor& x) override { return holt::linear(x, weight, bias); }
//     Parts parts() override { return {.parameters = {{"weight", &weight}, {"bias", &bias}}}; }
//   };
//
// Everything else follows from that list: dotted names, state, freezing, moving, cloning, the summary. There is no
// registration, so members may be copied, moved and put into vectors. A C++ copy of a module shares the tensors, as a
// copy of a Tensor does; clone() gives the copy its own.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/random.h"
#include "core/tensor.h"

namespace holt::nn {

class Module;

/// Tensors by dotted name ("layer1.0.conv1.weight"), in the names' order.
using State = std::map<std::string, Tensor>;
using TensorList = std::vector<std::pair<std::string, Tensor>>;  ///< in the order of the parts

/// What a module consists of. Pointers to its members; undefined tensors (an absent bias) are left out by all readers.
struct Parts {
  template <class T>
  using List = std::vector<std::pair<std::string, T*>>;

  List<Tensor> parameters = {};     ///< trained, saved
  List<Tensor> buffers = {};        ///< saved, not trained: running statistics
  List<Tensor> constants = {};      ///< neither, but moved to the device with the rest
  List<Generator> generators = {};  ///< random numbers that forward draws: dropout
  List<Module> children = {};
};

class Module {
 public:
  virtual ~Module() = default;

  virtual Tensor forward(const Tensor& x) = 0;
  virtual Parts parts() = 0;
  /// One line for the summary: "Conv2d(16 → 32, 3×3, stride 2, padding 1)".
  virtual std::string label() const = 0;
  /// A module of the same class that shares this one's tensors. Cloneable supplies it.
  virtual std::unique_ptr<Module> copy() const = 0;

  /// forward(), seen by a Watch.
  Tensor operator()(const Tensor& x) { return watched(forward(x)); }
  /// forward(x) for an x that the caller gives up: blocks that overwrite what nobody needs any more do so.
  virtual Tensor consume(Tensor&& x) { return forward(x); }
  Tensor operator()(Tensor&& x) { return watched(consume(std::move(x))); }

  /// All of them, in the order in which the parts are listed, children's after the module's own.
  TensorList named_parameters() const;
  TensorList named_buffers() const;
  std::vector<Tensor> parameters() const;
  std::vector<Tensor> buffers() const;
  int64_t parameter_count(bool trainable_only = false) const;
  /// This module (name "") and all below it, parents first.
  std::vector<std::pair<std::string, Module*>> named_modules();

  /// Calls f(name, module) for every module of class M: for_each<BatchNorm2d>([](auto& name, BatchNorm2d& bn) { … }).
  template <class M, class F>
  void for_each(F&& f) {
    for (auto& [name, module] : named_modules())
      if (auto* m = dynamic_cast<M*>(module)) f(name, *m);
  }

  /// Training mode: batch norm uses the batch's statistics, dropout drops. New modules are in training mode.
  void train(bool on = true);
  void eval() { train(false); }
  bool training() const { return training_; }

  /// Freezes (on = false) or frees the parameters whose dotted names match: fnmatch patterns (* matches dots too),
  /// comma-separated: "conv1.*,layer?.*". Frozen parameters lose their gradient. Returns how many parameters matched.
  /// A pattern that matches nothing is an Error that lists the nearest names; then nothing is changed.
  int requires_grad(const std::string& patterns, bool on);

  /// Drops all gradients.
  void zero_grad();
  /// Moves every tensor. Parameters become new tensors: make the optimiser afterwards.
  void to(Device device);

  /// Parameters and buffers, sharing the module's memory: training changes them. See nn/state.h for copies.
  State state() const;
  /// Copies the elements into the module's own tensors (from any device), so that an optimiser keeps its hold on them.
  /// strict: an Error unless names, shapes and dtypes are the same; one message lists the first ten missing, unexpected
  /// and misshapen ones. Not strict: absent and unexpected names are skipped, misshapen ones are still an Error. On
  /// error the module is as before. Returns the names that were skipped.
  std::vector<std::string> load_state(const State& state, bool strict = true);

  /// The state of every generator (i64 [2] on cpu: seed, next), by dotted name: with it a resumed run draws what the
  /// uninterrupted one would have drawn.
  State random_state() const;
  void load_random_state(const State& state);
  /// Starts every generator anew, each from its own stream of `seed`: clones that train side by side draw differently.
  void reseed(uint64_t seed);

  /// A table of layers with output shape (for a batch of the input's shape) and parameters. Runs a forward in
  /// evaluation mode; the module is as before afterwards.
  std::string describe(const Shape& input);

 protected:
  Module() = default;
  Module(const Module&) = default;
  Module(Module&&) = default;
  Module& operator=(const Module&) = default;
  Module& operator=(Module&&) = default;
  /// Shows y to the thread's Watch and returns it. For calls that forward(x) cannot express.
  Tensor watched(Tensor y) const;

 private:
  bool training_ = true;
};

/// Supplies copy(): class Linear : public Cloneable<Linear>.
template <class Self, class Base = Module>
class Cloneable : public Base {
 public:
  using Base::Base;
  std::unique_ptr<Module> copy() const override { return std::make_unique<Self>(static_cast<const Self&>(*this)); }
};

namespace detail {
void own_tensors(Module& m);
}

/// A deep copy: same class, modes, values, frozen parameters and random state; its own memory, no gradients.
/// Independent of the original, so the two may be used in different threads.
template <class M>
std::unique_ptr<M> clone(const M& module) {
  std::unique_ptr<M> c(static_cast<M*>(module.copy().release()));
  detail::own_tensors(*c);
  return c;
}

/// Calls f(module, output) after every module that is called in this thread while it lives: summaries, or the search
/// for the layer that made a NaN. The innermost Watch sees.
class Watch {
 public:
  using Function = std::function<void(const Module&, const Tensor&)>;
  explicit Watch(Function f);
  ~Watch();
  /// Whether there is one in this thread: layers that can be computed together then are not.
  static bool active();
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

 private:
  friend class Module;
  Function f_;
  Watch* previous_;
};

}  // namespace holt::nn
