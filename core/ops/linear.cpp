#include "core/autocast.h"
#include "core/autograd.h"
#include "core/ops.h"
#include "kernels/bias_activation.h"
#include "kernels/matmul.h"
#include "kernels/trace.h"
#include "kernels/weight_gradient.h"

namespace holt {

Tensor linear(const Tensor& x, const Tensor& w, const Tensor& bias, Activation activation) {
  if (autocast_changes({&x, &w, &bias}))
    return linear(autocast(x), autocast_weight(w), autocast_weight(bias), activation);
  const TraceRange trace("linear");
  check(w.rank() == 2, "linear: weight must be [out, in], got {}", w);
  const int64_t in = w.size(1), out = w.size(0);
  check(x.rank() >= 1 && x.size(-1) == in, "linear: x must be [..., {}] to match weight {}, got {}", in, w, x);
  check(w.dtype() == x.dtype() && w.device() == x.device(),
        "linear: weight must have the dtype and device of x {}, got {}", x, w);
  if (bias) {
    check(bias.shape() == Shape{out}, "linear: bias must be [{}] to match weight {}, got {}", out, w, bias);
    check(bias.dtype() == x.dtype() && bias.device() == x.device(),
          "linear: bias must have the dtype and device of x {}, got {}", x, bias);
  }

  const int64_t rows = x.shape().product(0, x.rank() - 1);
  Shape shape = x.shape();
  shape.set(-1, out);
  Tensor y = empty(shape, x.dtype(), x.device());
  const bool differentiable =
      grad_enabled() && (x.requires_grad() || w.requires_grad() || (bias && bias.requires_grad()));
  const Tensor pre = differentiable && needs_input(activation) ? empty_like(y) : Tensor{};
  on(x.device(), x.dtype(), "linear", Floats{}, [&]<class T>(auto dev, T) {
    matmul(dev, Matmul{.batch = 1, .m = rows, .n = out, .k = in, .transpose_b = true, .activation = activation},
           x.data<T>(), w.data<T>(), static_cast<const T*>(data_or_null<T>(bias)), y.data<T>(), data_or_null<T>(pre));
  });

  const Saved saved(activation == Activation::none ? Tensor{} : pre ? pre : y);
  return record(
      "linear", {x, w, bias}, y,
      [=, sx = x.shape(), x = saved_for(w, x), w = saved_for(x, w)](const Tensor& dy, const Needs& needs) -> Grads {
        Tensor dx = needs[0] ? empty(sx, dy.dtype(), dy.device()) : Tensor{},
               dw = needs[1] ? empty({out, in}, dy.dtype(), dy.device()) : Tensor{},
               db = needs[2] ? empty({out}, dy.dtype(), dy.device()) : Tensor{};
        const bool product = dx || dw, together = dw && db && activation == Activation::none;
        const Tensor dpre = activation == Activation::none ? dy : product ? empty_like(dy) : Tensor{};
        on(dy.device(), dy.dtype(), "linear", Floats{}, [&]<class T>(auto dev, T) {
          const T* null = nullptr;
          if (together)
            weight_gradient(dev, {rows, out, in}, dy.data<T>(), x().template data<T>(), dw.data<T>(), db.data<T>());
          else if (db || activation != Activation::none)
            bias_activation_backward(dev, {rows, out, activation}, dy.data<T>(),
                                     activation == Activation::none ? null : saved().template data<T>(),
                                     activation == Activation::none ? nullptr : data_or_null<T>(dpre),
                                     data_or_null<T>(db));
          if (dx)  // dpre·w
            matmul(dev, Matmul{.batch = 1, .m = rows, .n = in, .k = out}, dpre.data<T>(), w().template data<T>(), null,
                   dx.data<T>(), static_cast<T*>(nullptr));
          if (dw && !together)  // dpreᵀ·x
            matmul(dev, Matmul{.batch = 1, .m = out, .n = in, .k = rows, .transpose_a = true}, dpre.data<T>(),
                   x().template data<T>(), null, dw.data<T>(), static_cast<T*>(nullptr));
        });
        return {dx, dw, db};
      });
}

}  // namespace holt
