#include "core/autocast.h"
#include "core/autograd.h"
#include "core/ops.h"
#include "core/ops/conv2d_sizes.h"
#include "kernels/bias_activation.h"
#include "kernels/trace.h"

namespace holt {

Tensor conv2d(const Tensor& x, const Tensor& w, const Tensor& bias, Conv2dOptions options) {
  if (autocast_changes({&x, &w, &bias})) return conv2d(autocast(x), autocast_weight(w), autocast_weight(bias), options);
  const TraceRange trace("conv2d");
  check(x.rank() == 4, "conv2d: x must be [N, H, W, Cin], got {}", x);
  const int64_t groups = options.groups;
  check(groups >= 1 && x.size(3) % groups == 0,
        "conv2d: groups must be positive and divide the channels of x {}, got {}", x, groups);
  check(w.rank() == 4 && w.size(3) == x.size(3) / groups,
        "conv2d: weight must be [Cout, KH, KW, {}] to match x {}{}, got {}", x.size(3) / groups, x,
        groups == 1 ? "" : format(" in {} groups", groups), w);
  check(w.size(0) % groups == 0, "conv2d: groups must divide the weight's Cout, got {} groups and {}", groups, w);
  check(w.dtype() == x.dtype() && w.device() == x.device(),
        "conv2d: weight must have the dtype and device of x {}, got {}", x, w);
  if (bias) {
    check(bias.shape() == Shape{w.size(0)}, "conv2d: bias must be [{}] to match weight {}, got {}", w.size(0), w, bias);
    check(bias.dtype() == x.dtype() && bias.device() == x.device(),
          "conv2d: bias must have the dtype and device of x {}, got {}", x, bias);
  }
  check(
      options.stride >= 1 && options.dilation >= 1 && options.padding >= 0,
      "conv2d: stride and dilation must be at least 1 and padding not negative, got stride {}, dilation {} and padding "
      "{}",
      options.stride, options.dilation, options.padding);

  const Conv2d p = conv2d_sizes(x, w, options);
  check(p.kh >= 1 && p.kw >= 1 && p.h + 2 * p.pad_h >= p.reach_h() && p.w + 2 * p.pad_w >= p.reach_w(),
        "conv2d: the window of weight {} must fit into x {} with padding {}{}", w, x, options.padding,
        options.dilation == 1 ? "" : format(" at dilation {}", options.dilation));
  Tensor y = empty({p.n, p.out_h(), p.out_w(), p.cout}, x.dtype(), x.device());
  on(x.device(), x.dtype(), "conv2d", Floats{}, [&]<class T>(auto dev, T) {
    conv2d_forward(dev, p, x.data<T>(), w.data<T>(), static_cast<const T*>(data_or_null<T>(bias)), y.data<T>());
  });

  return record("conv2d", {x, w, bias}, y,
                [=, sx = x.shape(), sw = w.shape(), x = saved_for(w, x), w = saved_for(x, w)](
                    const Tensor& dy, const Needs& needs) -> Grads {
                  Tensor dx = needs[0] ? empty(sx, dy.dtype(), dy.device()) : Tensor{},
                         dw = needs[1] ? empty(sw, dy.dtype(), dy.device()) : Tensor{},
                         db = needs[2] ? empty({p.cout}, dy.dtype(), dy.device()) : Tensor{};
                  on(dy.device(), dy.dtype(), "conv2d", Floats{}, [&]<class T>(auto dev, T) {
                    if (dx) conv2d_backward_data(dev, p, dy.data<T>(), w().template data<T>(), dx.data<T>());
                    if (dw) conv2d_backward_weights(dev, p, dy.data<T>(), x().template data<T>(), dw.data<T>());
                    if (db)
                      bias_activation_backward(dev, BiasActivation{p.n * p.out_h() * p.out_w(), p.cout}, dy.data<T>(),
                                               static_cast<const T*>(nullptr), static_cast<T*>(nullptr), db.data<T>());
                  });
                  return {dx, dw, db};
                });
}

}  // namespace holt
