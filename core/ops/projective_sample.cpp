#include "kernels/projective_sample.h"

#include "core/autograd.h"
#include "core/ops.h"
#include "kernels/trace.h"

namespace holt {

Tensor projective_sample(const Tensor& x, const Tensor& theta) {
  const TraceRange trace("projective_sample");
  check(x.rank() == 4 && x.size(1) >= 1 && x.size(2) >= 1,
        "projective_sample: x must be [N, H, W, C] with H and W of at least 1, got {}", x);
  constexpr int64_t kSide = 1 << 24, kElements = int64_t{1} << 31;
  check(x.size(1) < kSide && x.size(2) < kSide && x.size(3) < kElements &&
            x.size(1) * x.size(2) < kElements / std::max<int64_t>(x.size(3), 1),
        "projective_sample: H and W must stay below 2^24 and H·W·C below 2^31, got {}", x);
  const DType sums = x.dtype() == DType::f64 ? DType::f64 : DType::f32;
  check(theta && theta.shape() == Shape{8} && theta.dtype() == sums && theta.device() == x.device(),
        "projective_sample: theta must be {} [8] on {} to match x {}, got {}", sums, x.device(), x, theta);

  const ProjectiveSample p{x.size(0), static_cast<int>(x.size(1)), static_cast<int>(x.size(2)),
                           static_cast<int>(x.size(3))};
  Tensor y = empty_like(x);
  on(x.device(), x.dtype(), "projective_sample", Floats{}, [&]<class T>(auto dev, T) {
    projective_sample_forward(dev, p, x.data<T>(), theta.data<acc_t<T>>(), y.data<T>());
  });

  return record("projective_sample", {x, theta}, y,
                [=, x = saved_for(theta, x), theta = Saved(theta)](const Tensor& dy, const Needs& needs) -> Grads {
                  Tensor dx = needs[0] ? empty_like(dy) : Tensor{}, dtheta = needs[1] ? empty_like(theta()) : Tensor{};
                  on(dy.device(), dy.dtype(), "projective_sample", Floats{}, [&]<class T>(auto dev, T) {
                    projective_sample_backward(dev, p, dy.data<T>(), data_or_null<T>(x()), theta().data<acc_t<T>>(),
                                               data_or_null<T>(dx), data_or_null<acc_t<T>>(dtheta));
                  });
                  return {dx, dtheta};
                });
}

}  // namespace holt
