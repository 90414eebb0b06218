// Sum and mean along any axes: one pass for each run of neighbouring axes, innermost first (it shrinks the data most).
#include "kernels/sum.h"

#include "core/autograd.h"
#include "core/ops.h"
#include "kernels/trace.h"

namespace holt {
namespace {

struct SumPlan {
  std::vector<Reduction> steps;  ///< in the order of the forward; at least one
  Shape result;
  int64_t count = 1;  ///< elements behind one result
};

SumPlan plan(const char* op, const Shape& shape, const std::vector<int>& axes, bool keepdim) {
  std::array<bool, Shape::kMaxRank> reduced{};
  for (int axis : axes) {
    check(axis >= -shape.rank() && axis < shape.rank(), "{}: axis {} is out of range for {}", op, axis, shape);
    bool& r = reduced[shape.normalize(axis)];
    check(!r, "{}: axis {} of {} is named twice", op, axis, shape);
    r = true;
  }
  if (axes.empty()) reduced.fill(true);

  SumPlan p;
  std::vector<int64_t> sizes;
  for (int i = 0; i < shape.rank(); ++i) {
    if (reduced[i]) p.count *= shape[i];
    if (!reduced[i] || keepdim) sizes.push_back(reduced[i] ? 1 : shape[i]);
  }
  p.result = Shape(sizes);
  int64_t inner = 1;
  for (int last = shape.rank(); last > 0;) {
    int first = last - 1;
    while (first > 0 && reduced[first - 1] == reduced[last - 1]) --first;
    if (reduced[last - 1])
      p.steps.push_back({shape.product(0, first), shape.product(first, last), inner});
    else
      inner *= shape.product(first, last);
    last = first;
  }
  if (p.steps.empty()) p.steps.push_back({1, 1, shape.numel()});  // a scalar
  return p;
}

Tensor reduce(const char* op, const Tensor& x, const SumPlan& p, double scale) {
  const TraceRange trace(op);
  const DType wide = x.dtype() == DType::f64 ? DType::f64 : DType::f32;
  Tensor y = x.detach();
  for (const Reduction& step : p.steps) {
    const Tensor from = y;
    y = empty({step.outer * step.inner}, wide, x.device());
    const double s = &step == &p.steps.back() ? scale : 1;
    on(x.device(), from.dtype(), op, Floats{},
       [&]<class T>(auto dev, T) { sum(dev, step, s, from.data<T>(), y.data<acc_t<T>>()); });
  }
  y = y.reshape(p.result);
  return record(op, {x}, y, [=, shape = x.shape(), dtype = x.dtype()](const Tensor& dy, const Needs&) -> Grads {
    Tensor dx = dy;
    for (auto step = p.steps.rbegin(); step != p.steps.rend(); ++step) {
      const bool last = step + 1 == p.steps.rend();
      const double s = step == p.steps.rbegin() ? scale : 1;
      const Tensor from = dx;
      dx = empty({step->outer * step->reduced * step->inner}, last ? dtype : wide, dy.device());
      on(dy.device(), dx.dtype(), op, Floats{}, [&]<class T>(auto dev, T) {
        sum_backward(dev, *step, s, static_cast<const acc_t<T>*>(from.data<acc_t<T>>()), dx.data<T>());
      });
    }
    return {dx.reshape(shape)};
  });
}

}  // namespace

Tensor sum(const Tensor& x, const std::vector<int>& axes, bool keepdim) {
  return reduce("sum", x, plan("sum", x.shape(), axes, keepdim), 1);
}

Tensor mean(const Tensor& x, const std::vector<int>& axes, bool keepdim) {
  const SumPlan p = plan("mean", x.shape(), axes, keepdim);
  check(p.count > 0 || p.result.numel() == 0, "mean: {} has no elements along the axes", x);
  return reduce("mean", x, p, p.count > 0 ? 1.0 / static_cast<double>(p.count) : 0);
}

}  // namespace holt
