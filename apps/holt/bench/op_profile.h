// Where the time of a step goes, op by op.
//
// Between one event (the end of an op's forward, of its backward, of the optimiser's step) and the next, the time
// belongs to the later one: nothing is left out, so the lines add up to the step. Meant for the cpu, where an op has
// ended when it returns.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "apps/holt/bench/stopwatch.h"
#include "core/autograd.h"

namespace holt::app {

/// What an op must do at least: bytes read and written if every tensor is touched once a pass (batch norm in training
/// needs two), and flops of products (others are bound by memory).
struct Work {
  double bytes = 0, flops = 0;
};

class OpProfile {
 public:
  struct Line {
    double seconds = 0;
    Work work;
    int64_t calls = 0;
  };

  /// Sees this thread's ops from now on.
  explicit OpProfile(Stopwatch watch);
  /// Ends a piece of time that is no op's: the optimiser's step.
  void event(const std::string& name, Work work);
  /// Starts the clock: what came before belongs to nothing.
  void start();

  /// By name ("conv2d 3×3, backward"), longest first.
  std::vector<std::pair<std::string, Line>> lines() const;

 private:
  void forward(const std::string& op, const std::vector<Tensor>& inputs, const Tensor& y);
  void backward(const std::string& op, const Tensor& dy, const Grads& grads);

  std::map<std::string, Line> lines_;
  Stopwatch watch_;
  OpHook forward_hook_;
  BackwardHook backward_hook_;
};

}  // namespace holt::app
