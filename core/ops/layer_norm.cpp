#include "kernels/layer_norm.h"

#include "core/autograd.h"
#include "core/ops.h"

namespace holt {

Tensor layer_norm(const Tensor& x, const Tensor& w, const Tensor& b, double eps) {
  check(x.rank() >= 1 && x.size(-1) >= 1, "layer_norm: x must be [..., C] with C of at least 1, got {}", x);
  const int64_t cols = x.size(-1);
  for (const Tensor* p : {&w, &b}) {
    const char* name = p == &w ? "weight" : "bias";
    check(p->shape() == Shape{cols}, "layer_norm: {} must be [{}] to match x {}, got {}", name, cols, x, *p);
    check(p->dtype() == x.dtype() && p->device() == x.device(),
          "layer_norm: {} must have the dtype and device of x {}, got {}", name, x, *p);
  }
  check(eps >= 0, "layer_norm: eps must not be negative, got {}", eps);

  const LayerNorm p{x.numel() / cols, cols, eps};
  const DType stats = x.dtype() == DType::f64 ? DType::f64 : DType::f32;
  Tensor y = empty_like(x), mean = empty({p.rows}, stats, x.device()), rstd = empty({p.rows}, stats, x.device());
  on(x.device(), x.dtype(), "layer_norm", Floats{}, [&]<class T>(auto dev, T) {
    layer_norm_forward(dev, p, x.data<T>(), w.data<T>(), b.data<T>(), y.data<T>(), mean.data<acc_t<T>>(),
                       rstd.data<acc_t<T>>());
  });

  return record(
      "layer_norm", {x, w, b}, y, [=, x = Saved(x), w = Saved(w)](const Tensor& dy, const Needs& needs) -> Grads {
        Tensor dx = needs[0] ? empty_like(x()) : Tensor{}, dw = needs[1] ? empty_like(w()) : Tensor{},
               db = needs[2] ? empty_like(w()) : Tensor{};
        on(dy.device(), dy.dtype(), "layer_norm", Floats{}, [&]<class T>(auto dev, T) {
          layer_norm_backward(dev, p, dy.data<T>(), x().data<T>(), w().data<T>(), mean.data<acc_t<T>>(),
                              rstd.data<acc_t<T>>(), data_or_null<T>(dx), data_or_null<T>(dw), data_or_null<T>(db));
        });
        return {dx, dw, db};
      });
}

}  // namespace holt
