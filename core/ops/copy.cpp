// Copies of a tensor: on the same device, or on another one. The gradient travels back.
#include "core/autograd.h"
#include "kernels/memory.h"

namespace holt {

Tensor Tensor::clone() const {
  Tensor y = empty_like(*this);
  copy_bytes(device(), y.raw(), device(), raw(), bytes());
  return record("clone", {*this}, y, [](const Tensor& dy, const Needs&) -> Grads { return {dy}; });
}

Tensor Tensor::to(Device target) const {
  const Device source = device();
  if (target == source) return *this;
  if (target.kind == Device::cuda && source.kind == Device::cuda) return to(Device::cpu).to(target);
  Tensor y = empty(shape(), dtype(), target);
  copy_bytes(target, y.raw(), source, raw(), bytes());
  return record("to", {*this}, y, [source](const Tensor& dy, const Needs&) -> Grads { return {dy.to(source)}; });
}

}  // namespace holt
