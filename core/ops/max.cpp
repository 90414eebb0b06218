// The largest element along an axis, and where it stands.
#include "kernels/max.h"

#include "core/autograd.h"
#include "core/ops.h"
#include "kernels/trace.h"

namespace holt {
namespace {

struct MaxPlan {
  Reduction p;
  Shape result;
};

MaxPlan plan(const char* op, const Tensor& x, int axis, bool keepdim) {
  const Shape& shape = x.shape();
  check(axis >= -shape.rank() && axis < shape.rank(), "{}: axis {} is out of range for {}", op, axis, x);
  axis = shape.normalize(axis);
  check(shape[axis] > 0, "{}: {} has no elements along axis {}", op, x, axis);
  std::vector<int64_t> sizes(shape.begin(), shape.end());
  if (keepdim)
    sizes[axis] = 1;
  else
    sizes.erase(sizes.begin() + axis);
  return {{shape.product(0, axis), shape[axis], shape.product(axis + 1, shape.rank())}, Shape(sizes)};
}

}  // namespace

std::pair<Tensor, Tensor> max(const Tensor& x, int axis, bool keepdim) {
  const TraceRange trace("max");
  const auto [p, result] = plan("max", x, axis, keepdim);
  Tensor values = empty(result, x.dtype(), x.device()), index = empty(result, DType::i64, x.device());
  on(x.device(), x.dtype(), "max", Floats{},
     [&]<class T>(auto dev, T) { max_forward(dev, p, x.data<T>(), values.data<T>(), index.data<int64_t>()); });
  values = record(
      "max", {x}, values, [p = p, shape = x.shape(), index = Saved(index)](const Tensor& dy, const Needs&) -> Grads {
        Tensor dx = empty(shape, dy.dtype(), dy.device());
        on(dy.device(), dy.dtype(), "max", Floats{},
           [&]<class T>(auto dev, T) { max_backward(dev, p, dy.data<T>(), index().data<int64_t>(), dx.data<T>()); });
        return {dx};
      });
  return {values, index};
}

Tensor argmax(const Tensor& x, int axis, bool keepdim) {
  const TraceRange trace("argmax");
  const auto [p, result] = plan("argmax", x, axis, keepdim);
  Tensor index = empty(result, DType::i64, x.device());
  on(x.device(), x.dtype(), "argmax", Floats{},
     [&]<class T>(auto dev, T) { max_forward(dev, p, x.data<T>(), static_cast<T*>(nullptr), index.data<int64_t>()); });
  return index;
}

}  // namespace holt
