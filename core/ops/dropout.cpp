// Dropout. The backward applies the forward's function to dy: the mask is drawn again from the same counters.
#include "kernels/dropout.h"

#include "core/autograd.h"
#include "core/ops.h"

namespace holt {
namespace {

Tensor masked(const Dropout& o, const Tensor& x) {
  Tensor y = empty_like(x);
  on(x.device(), x.dtype(), "dropout", Floats{},
     [&]<class T>(auto dev, T) { dropout(dev, o, x.numel(), x.data<T>(), y.data<T>()); });
  return y;
}

}  // namespace

Tensor dropout(const Tensor& x, double p, Generator& generator) {
  check(x.defined(), "dropout: x is undefined");
  check(is_float(x.dtype()), "dropout: x must be floating, got {}", x);
  check(p >= 0 && p <= 1, "dropout: p must be in [0, 1], got {}", p);
  if (p == 0) return x;  // and nothing is drawn
  const Dropout o{p, generator.seed, generator.next++};
  return record("dropout", {x}, masked(o, x), [o](const Tensor& dy, const Needs&) -> Grads { return {masked(o, dy)}; });
}

}  // namespace holt
