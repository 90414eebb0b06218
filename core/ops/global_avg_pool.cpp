#include "kernels/global_avg_pool.h"

#include "core/autograd.h"
#include "core/ops.h"
#include "kernels/trace.h"

namespace holt {

Tensor global_avg_pool(const Tensor& x) {
  const TraceRange trace("global_avg_pool");
  check(x.rank() == 4 && x.size(1) >= 1 && x.size(2) >= 1,
        "global_avg_pool: x must be [N, H, W, C] with H and W of at least 1, got {}", x);
  const GlobalAvgPool p{x.size(0), x.size(1) * x.size(2), x.size(3)};
  Tensor y = empty({p.images, p.channels}, x.dtype(), x.device());
  on(x.device(), x.dtype(), "global_avg_pool", Floats{},
     [&]<class T>(auto dev, T) { global_avg_pool_forward(dev, p, x.data<T>(), y.data<T>()); });
  return record("global_avg_pool", {x}, y, [p, shape = x.shape()](const Tensor& dy, const Needs&) -> Grads {
    Tensor dx = empty(shape, dy.dtype(), dy.device());
    on(dy.device(), dy.dtype(), "global_avg_pool", Floats{},
       [&]<class T>(auto dev, T) { global_avg_pool_backward(dev, p, dy.data<T>(), dx.data<T>()); });
    return {dx};
  });
}

}  // namespace holt
