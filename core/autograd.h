// Reverse-mode differentiation: a tape of nodes.
//
// An op computes its output, then calls record() with a closure that maps dy to the gradients of its inputs. `needs`
// tells the closure which of them anybody wants: nothing is computed for frozen layers, and branches that lead to no
// trainable leaf are not visited. Only the engine accumulates. What the closure saved is freed as soon as it ran.
#pragma once
#include <functional>
#include <initializer_list>
#include <memory>
#include <vector>

#include "core/tensor.h"

namespace holt {

using Grads = std::vector<Tensor>;  ///< one for each input, in order; undefined where not needed
using Needs = std::vector<bool>;    ///< one for each input
using Backward = std::function<Grads(const Tensor& dy, const Needs& needs)>;

/// Makes `y`, freshly computed from `inputs`, part of the graph, and returns it. Undefined inputs are allowed (an
/// absent bias). Records nothing when no input requires a gradient or inside NoGrad. `op` is a string literal: errors
/// and hooks name it. The closure keeps inputs and output by Saved, never as they are (the graph would own itself).
Tensor record(const char* op, std::initializer_list<Tensor> inputs, Tensor y, Backward backward);
Tensor record(const char* op, const std::vector<Tensor>& inputs, Tensor y, Backward backward);

/// A tensor kept for the backward. Holds the elements without the graph (so that an op may save its own output), and
/// refuses to give them back when they were written to since.
class Saved {
 public:
  Saved() = default;
  explicit Saved(const Tensor& t) : tensor_(t ? t.detach() : t), version_(t ? t.storage()->version : 0) {}
  /// Error that names the op and the shape if an in-place write came between.
  const Tensor& operator()() const;

 private:
  Tensor tensor_;
  uint64_t version_ = 0;
};

/// What the gradient of `trained` needs of `other`: nothing if `trained` is frozen, so that a frozen layer between
/// trained ones keeps no activations.
inline Saved saved_for(const Tensor& trained, const Tensor& other) {
  return trained.requires_grad() ? Saved(other) : Saved();
}

/// Within a backward: the sum of the gradients that came to input `i` by other ways so far, handed over; undefined if
/// there is none or the input is a leaf. A backward that adds it in a pass of its own saves the engine one: the
/// gradient that it returns for the input must then contain it.
Tensor take_gradient(size_t i);

bool grad_enabled();

/// Ops within its scope (in this thread) record nothing.
class NoGrad {
 public:
  NoGrad();
  ~NoGrad();
  NoGrad(const NoGrad&) = delete;
  NoGrad& operator=(const NoGrad&) = delete;

 private:
  bool previous_;
};

/// Name of the op that computed `t`; "" for a leaf.
const char* op_name(const Tensor& t);

/// Calls `hook` with the name, the inputs and the output of every op that this thread passes to record() while it
/// lives, recorded or not. Hooks nest; the innermost is called first. For profiles, traces and tests.
class OpHook {
 public:
  using Hook = std::function<void(const char* op, const std::vector<Tensor>& inputs, const Tensor& y)>;
  explicit OpHook(Hook hook);
  ~OpHook();
  OpHook(const OpHook&) = delete;
  OpHook& operator=(const OpHook&) = delete;

 private:
  friend Tensor record(const char*, const std::vector<Tensor>&, Tensor, Backward);
  Hook hook_;
  OpHook* previous_;
};

/// Calls `hook` right after the backward of every op that this thread runs while it lives, with the gradients that it
/// returned (undefined where not needed). Ops inside that backward are seen by OpHook, before. Hooks nest as OpHook's.
class BackwardHook {
 public:
  using Hook = std::function<void(const char* op, const Tensor& dy, const Grads& grads)>;
  explicit BackwardHook(Hook hook);
  ~BackwardHook();
  BackwardHook(const BackwardHook&) = delete;
  BackwardHook& operator=(const BackwardHook&) = delete;

  /// For the engine: tells this thread's hooks.
  static void tell(const char* op, const Tensor& dy, const Grads& grads);

 private:
  Hook hook_;
  BackwardHook* previous_;
};

/// Compares analytic gradients of `f` (f64 inputs on cpu, f64 output of any shape) with central differences of step
/// `step`; throws Error naming input, index and both values where they differ by more than tolerance·max(1, |numeric|).
/// Then trains each input alone: a gradient that depends on which others are wanted, or one computed though nobody
/// wanted it, is an Error too. Returns the largest difference.
double gradcheck(const std::function<Tensor(const std::vector<Tensor>&)>& f, const std::vector<Tensor>& inputs,
                 double step = 1e-6, double tolerance = 1e-6);

}  // namespace holt
