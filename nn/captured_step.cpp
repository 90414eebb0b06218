#include "nn/captured_step.h"

#include "kernels/memory.h"

namespace holt::nn {

CapturedStep::CapturedStep(Device device, Optimizer& optimizer, Loss loss, Clip clip)
    : device_(device), optimizer_(&optimizer), loss_of_(std::move(loss)), clip_(clip), graph_(device) {
  check(static_cast<bool>(loss_of_), "captured step: there is no loss function");
}

void CapturedStep::keep(const std::vector<Tensor>& inputs) {
  for (const Tensor& t : inputs) check(t.defined(), "captured step: an input is undefined");
  if (inputs_.empty())
    for (const Tensor& t : inputs) inputs_.push_back(empty(t.shape(), t.dtype(), device_));
  check(inputs.size() == inputs_.size(), "captured step: expected {} inputs as in the first step, got {}",
        inputs_.size(), inputs.size());
  for (size_t i = 0; i < inputs.size(); ++i)
    check(inputs[i].shape() == inputs_[i].shape() && inputs[i].dtype() == inputs_[i].dtype(),
          "captured step: input {} must be {} {} as in the first step, got {}", i, inputs_[i].dtype(),
          inputs_[i].shape(), inputs[i]);
  for (size_t i = 0; i < inputs.size(); ++i)
    copy_bytes(device_, inputs_[i].raw(), inputs[i].device(), inputs[i].raw(), inputs[i].bytes());
}

Tensor CapturedStep::run(const std::vector<Tensor>& inputs, double factor) {
  keep(inputs);
  optimizer_->set_replay_factor(factor);
  try {
    graph_.run([&] {
      loss_ = {};  // its memory is taken again
      Tensor loss = loss_of_(inputs_);
      optimizer_->scaled(loss).backward();
      optimizer_->step(factor, clip_);
      optimizer_->zero_grad();
      loss_ = loss.detach();
    });
  } catch (...) {
    loss_ = {};
    optimizer_->zero_grad();  // gradients of a step that was only recorded hold nothing
    throw;
  }
  return loss_.clone();
}

}  // namespace holt::nn
