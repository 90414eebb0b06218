#include "kernels/softmax.h"

#include "core/autograd.h"
#include "core/ops.h"
#include "kernels/trace.h"

namespace holt {
namespace {

Tensor apply(const char* op, const Tensor& x, bool log) {
  const TraceRange trace(op);
  check(x.rank() >= 1 && x.size(-1) >= 1, "{}: x must be [..., C] with C of at least 1, got {}", op, x);
  const Softmax p{x.numel() / x.size(-1), x.size(-1), log};
  Tensor y = empty_like(x);
  on(x.device(), x.dtype(), op, Floats{},
     [&]<class T>(auto dev, T) { softmax_forward(dev, p, x.data<T>(), y.data<T>()); });
  return record(op, {x}, y, [=, y = Saved(y)](const Tensor& dy, const Needs&) -> Grads {
    Tensor dx = empty_like(dy);
    on(dy.device(), dy.dtype(), op, Floats{},
       [&]<class T>(auto dev, T) { softmax_backward(dev, p, dy.data<T>(), y().data<T>(), dx.data<T>()); });
    return {dx};
  });
}

}  // namespace

Tensor softmax(const Tensor& x) { return apply("softmax", x, false); }
Tensor log_softmax(const Tensor& x) { return apply("log_softmax", x, true); }

}  // namespace holt
