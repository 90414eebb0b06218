#include "kernels/layer_norm.h"

#include "core/autocast.h"
#include "core/autograd.h"
#include "core/ops.h"
#include "kernels/trace.h"

namespace holt {
namespace {

LayerNorm checked(const char* op, const Tensor& x, const Tensor& w, const Tensor& b, double eps) {
  check(x.rank() >= 1 && x.size(-1) >= 1, "{}: x must be [..., C] with C of at least 1, got {}", op, x);
  const int64_t cols = x.size(-1);
  const DType stats = x.dtype() == DType::f64 ? DType::f64 : DType::f32;
  for (const Tensor* p : {&w, &b})
    check(p->shape() == Shape{cols} && p->dtype() == stats && p->device() == x.device(),
          "{}: {} must be {} [{}] on {} to match x {}, got {}", op, p == &w ? "weight" : "bias", stats, cols,
          x.device(), x, *p);
  check(eps >= 0, "{}: eps must not be negative, got {}", op, eps);
  return {x.numel() / cols, cols, eps};
}

// {normalised, sum}; without a residual there is no sum, and x is what is normalised.
std::pair<Tensor, Tensor> normalised(const LayerNorm& p, const Tensor& x, const Tensor& residual, const Tensor& w,
                                     const Tensor& b) {
  const TraceRange trace(residual ? "add_layer_norm" : "layer_norm");
  const DType stats = x.dtype() == DType::f64 ? DType::f64 : DType::f32;
  Tensor y = empty_like(x), mean = empty({p.rows}, stats, x.device()), rstd = empty({p.rows}, stats, x.device());
  Tensor sum = residual ? empty_like(x) : Tensor{};
  on(x.device(), x.dtype(), "layer_norm", Floats{}, [&]<class T>(auto dev, T) {
    using A = acc_t<T>;
    layer_norm_forward(dev, p, x.data<T>(), static_cast<const T*>(data_or_null<T>(residual)), w.data<A>(), b.data<A>(),
                       data_or_null<T>(sum), y.data<T>(), mean.data<A>(), rstd.data<A>());
  });
  if (residual)
    sum = record("add", {x, residual}, sum, [](const Tensor& dy, const Needs& needs) -> Grads {
      return {needs[0] ? dy : Tensor{}, needs[1] ? dy : Tensor{}};
    });

  const Tensor& input = residual ? sum : x;
  y = record("layer_norm", {input, w, b}, y,
             [=, x = Saved(input), w = Saved(w)](const Tensor& dy, const Needs& needs) -> Grads {
               Tensor dx = needs[0] ? empty_like(x()) : Tensor{}, dw = needs[1] ? empty_like(w()) : Tensor{},
                      db = needs[2] ? empty_like(w()) : Tensor{};
               const Tensor dsum = needs[0] ? take_gradient(0) : Tensor{};  // of the stream beside this branch
               on(dy.device(), dy.dtype(), "layer_norm", Floats{}, [&]<class T>(auto dev, T) {
                 using A = acc_t<T>;
                 layer_norm_backward(dev, p, dy.data<T>(), x().data<T>(), w().data<A>(), mean.data<A>(), rstd.data<A>(),
                                     static_cast<const T*>(data_or_null<T>(dsum)), data_or_null<T>(dx),
                                     data_or_null<A>(dw), data_or_null<A>(db));
               });
               return {dx, dw, db};
             });
  return {y, sum};
}

}  // namespace

Tensor layer_norm(const Tensor& x, const Tensor& w, const Tensor& b, double eps) {
  return normalised(checked("layer_norm", x, w, b, eps), x, {}, w, b).first;
}

std::pair<Tensor, Tensor> add_layer_norm(const Tensor& x, const Tensor& residual, const Tensor& w, const Tensor& b,
                                         double eps) {
  if (autocast_promotes(x, residual)) return add_layer_norm(x.to(DType::f32), residual.to(DType::f32), w, b, eps);
  const LayerNorm p = checked("add_layer_norm", x, w, b, eps);
  check(residual && residual.shape() == x.shape() && residual.dtype() == x.dtype() && residual.device() == x.device(),
        "add_layer_norm: residual must have the shape, dtype and device of x {}, got {}", x, residual);
  return normalised(p, x, residual, w, b);
}

}  // namespace holt
