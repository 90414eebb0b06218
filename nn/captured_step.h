// A training step of fixed shapes, recorded once and replayed as one CUDA graph (kernels/graph.h): the same bits as
// step by step, and the host is free. On cpu and simt it runs step by step, so that code is the same everywhere.
//
//   CapturedStep step(adamw, [&](const std::vector<Tensor>& in) { return cross_entropy(model(in[0]), in[1]); });
//   for (…) loss = step.run({batch.images, batch.labels}, schedule::cosine(t, {.total = steps}));
//
// The loss function is called in the first three steps only. It must do the same every time and must not wait for the
// device; what it may not do is an Error (kernels/graph.h), after which the optimiser is as it was before the step, and
// the next step begins afresh. It may hold no tensor from one step to the next.
#pragma once
#include <functional>
#include <vector>

#include "kernels/graph.h"
#include "nn/optim.h"

namespace holt::nn {

class CapturedStep {
 public:
  using Loss = std::function<Tensor(const std::vector<Tensor>& inputs)>;
  /// The model and the optimiser must live as long; the parameters are on `device`.
  CapturedStep(Device device, Optimizer& optimizer, Loss loss, Clip clip = {});

  /// Copies the inputs, from any device, to where the step reads them; forward, backward, optimizer.step(factor),
  /// zero_grad(). Returns the loss, on the device, not waited for. Error if number, shapes or dtypes of the inputs are
  /// not those of the first step.
  Tensor run(const std::vector<Tensor>& inputs, double factor = 1);
  /// Whether steps are replayed from now on.
  bool recorded() const { return graph_.recorded(); }

 private:
  void keep(const std::vector<Tensor>& inputs);

  Device device_;
  Optimizer* optimizer_;
  Loss loss_of_;
  Clip clip_;
  Graph graph_;
  std::vector<Tensor> inputs_;  // what the step reads, filled by run()
  Tensor loss_;
};

}  // namespace holt::nn
