// a + b, a − b, a·b, a / b under NumPy's broadcasting. A broadcast operand's gradient is summed over the axes along
// which it was repeated.
#include "kernels/binary.h"

#include "core/autocast.h"
#include "core/autograd.h"
#include "core/ops.h"
#include "kernels/trace.h"

namespace holt {
namespace {

template <class Op>
Tensor forward(const char* op, Op f, const Tensor& a, const Tensor& b) {
  const TraceRange trace(op);
  check(a.dtype() == b.dtype(), "{}: both operands must have one dtype, got {} and {} (see Tensor::to)", op, a, b);
  check(a.device() == b.device(), "{}: both operands must be on one device, got {} and {} (see Tensor::to)", op, a, b);
  Tensor y = empty(broadcast(op, a.shape(), b.shape()), a.dtype(), a.device());
  const Broadcast p(a.shape(), b.shape());
  on(a.device(), a.dtype(), op, Floats{},
     [&]<class T>(auto dev, T) { binary(dev, f, p, a.data<T>(), b.data<T>(), y.data<T>()); });
  return y;
}

// The transpose of broadcasting from `shape`.
Tensor sum_to(const Tensor& t, const Shape& shape) {
  std::vector<int> repeated;
  const int lead = t.rank() - shape.rank();
  for (int i = 0; i < t.rank(); ++i)
    if (i < lead || shape[i - lead] != t.size(i)) repeated.push_back(i);
  return repeated.empty() ? t : sum(t, repeated).to(t.dtype()).reshape(shape);
}

}  // namespace

Tensor add(const Tensor& a, const Tensor& b) {
  if (autocast_promotes(a, b)) return add(a.to(DType::f32), b.to(DType::f32));
  return record("add", {a, b}, forward("add", Add{}, a, b),
                [sa = a.shape(), sb = b.shape()](const Tensor& dy, const Needs& needs) -> Grads {
                  return {needs[0] ? sum_to(dy, sa) : Tensor{}, needs[1] ? sum_to(dy, sb) : Tensor{}};
                });
}

Tensor sub(const Tensor& a, const Tensor& b) {
  if (autocast_promotes(a, b)) return sub(a.to(DType::f32), b.to(DType::f32));
  return record("sub", {a, b}, forward("sub", Sub{}, a, b),
                [sa = a.shape(), sb = b.shape()](const Tensor& dy, const Needs& needs) -> Grads {
                  return {needs[0] ? sum_to(dy, sa) : Tensor{}, needs[1] ? mul(sum_to(dy, sb), -1) : Tensor{}};
                });
}

Tensor mul(const Tensor& a, const Tensor& b) {
  if (autocast_promotes(a, b)) return mul(a.to(DType::f32), b.to(DType::f32));
  return record(
      "mul", {a, b}, forward("mul", Mul{}, a, b),
      [sa = a.shape(), sb = b.shape(), a = saved_for(b, a), b = saved_for(a, b)](const Tensor& dy,
                                                                                 const Needs& needs) -> Grads {
        return {needs[0] ? sum_to(mul(dy, b()), sa) : Tensor{}, needs[1] ? sum_to(mul(dy, a()), sb) : Tensor{}};
      });
}

Tensor div(const Tensor& a, const Tensor& b) {
  if (autocast_promotes(a, b)) return div(a.to(DType::f32), b.to(DType::f32));
  // da = dy / b,  db = −(dy / b)·(a / b): squares of b would overflow first.
  return record(
      "div", {a, b}, forward("div", Div{}, a, b),
      [sa = a.shape(), sb = b.shape(), a = saved_for(b, a), b = Saved(b)](const Tensor& dy,
                                                                          const Needs& needs) -> Grads {
        const Tensor q = div(dy, b());
        return {needs[0] ? sum_to(q, sa) : Tensor{}, needs[1] ? mul(sum_to(mul(q, div(a(), b())), sb), -1) : Tensor{}};
      });
}

}  // namespace holt
