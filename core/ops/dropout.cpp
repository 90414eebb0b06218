// Dropout. The backward applies the forward's function to dy: the mask is drawn again from the same counters.
#include "kernels/dropout.h"

#include "core/autograd.h"
#include "core/ops.h"
#include "kernels/recording.h"
#include "kernels/trace.h"

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
  const TraceRange trace("dropout");
  check(x.defined(), "dropout: x is undefined");
  check(is_float(x.dtype()), "dropout: x must be floating, got {}", x);
  check(p >= 0 && p <= 1, "dropout: p must be in [0, 1], got {}", p);
  if (p == 0) return x;  // and nothing is drawn
  // A replayed graph draws from a new stream every time, as a step that is not recorded does.
  const uint64_t* live = recorded_value<uint64_t>([&generator] { return generator.next++; });
  const Dropout o{p, generator.seed, live ? 0 : generator.next++, live};
  return record("dropout", {x}, masked(o, x), [o](const Tensor& dy, const Needs&) -> Grads { return {masked(o, dy)}; });
}

}  // namespace holt
