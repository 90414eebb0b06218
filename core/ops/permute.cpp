// Copies with the axes in another order; the gradient is the inverse permutation.
#include "kernels/permute.h"

#include "core/autograd.h"
#include "core/ops.h"
#include "kernels/trace.h"

namespace holt {

Tensor permute(const Tensor& x, const std::vector<int>& axes) {
  const TraceRange trace("permute");
  const Shape& from = x.shape();
  const int rank = from.rank();
  check(static_cast<int>(axes.size()) == rank, "permute: {} axes for {}", axes.size(), x);
  std::vector<int> order, inverse(rank, -1);
  Shape to = from;
  for (int i = 0; i < rank; ++i) {
    check(axes[i] >= -rank && axes[i] < rank, "permute: axis {} is out of range for {}", axes[i], x);
    const int axis = from.normalize(axes[i]);
    check(inverse[axis] < 0, "permute: axis {} of {} is named twice", axes[i], x);
    inverse[axis] = i;
    order.push_back(axis);
    to.set(i, from[axis]);
  }
  Tensor y = empty(to, x.dtype(), x.device());
  on(x.device(), [&](auto dev) { permute(dev, Permutation(from, order), size_of(x.dtype()), x.raw(), y.raw()); });
  return record("permute", {x}, y,
                [inverse](const Tensor& dy, const Needs&) -> Grads { return {permute(dy, inverse)}; });
}

Tensor transpose(const Tensor& x, int axis0, int axis1) {
  const int rank = x.rank();
  for (int axis : {axis0, axis1})
    check(axis >= -rank && axis < rank, "transpose: axis {} is out of range for {}", axis, x);
  std::vector<int> axes(rank);
  for (int i = 0; i < rank; ++i) axes[i] = i;
  std::swap(axes[x.shape().normalize(axis0)], axes[x.shape().normalize(axis1)]);
  return permute(x, axes);
}

}  // namespace holt
