#include "kernels/batch_norm.h"

#include "core/autocast.h"
#include "core/autograd.h"
#include "core/ops.h"
#include "kernels/trace.h"

namespace holt {
namespace {

void check_arguments(const Tensor& x, const Tensor& w, const Tensor& b, const Tensor& running_mean,
                     const Tensor& running_var, const BatchNormOptions& options, const Tensor& residual) {
  check(x.rank() >= 2 && x.size(-1) >= 1, "batch_norm: x must be [N, C] or [N, H, W, C] with C of at least 1, got {}",
        x);
  const int64_t channels = x.size(-1);
  const DType stats = x.dtype() == DType::f64 ? DType::f64 : DType::f32;
  const std::pair<const char*, const Tensor*> vectors[] = {
      {"weight", &w}, {"bias", &b}, {"running_mean", &running_mean}, {"running_var", &running_var}};
  for (const auto& [name, t] : vectors)
    check(*t && t->shape() == Shape{channels} && t->dtype() == stats && t->device() == x.device(),
          "batch_norm: {} must be {} [{}] on {} to match x {}, got {}", name, stats, channels, x.device(), x, *t);
  check(
      !residual || (residual.shape() == x.shape() && residual.dtype() == x.dtype() && residual.device() == x.device()),
      "batch_norm: residual must have the shape, dtype and device of x {}, got {}", x, residual);
  check(options.eps >= 0, "batch_norm: eps must not be negative, got {}", options.eps);
  check(options.momentum >= 0 && options.momentum <= 1, "batch_norm: momentum must be in 0 … 1, got {}",
        options.momentum);
  check(!options.training || x.numel() / channels >= 2,
        "batch_norm: training needs more than one value for each channel, got x {}; the unbiased variance of one value "
        "does not exist. Use a larger batch, or training = false",
        x);
}

}  // namespace

Tensor batch_norm(const Tensor& x, const Tensor& w, const Tensor& b, const Tensor& running_mean,
                  const Tensor& running_var, BatchNormOptions options, const Tensor& residual) {
  if (autocast_promotes(x, residual))
    return batch_norm(x, w, b, running_mean, running_var, options, residual.to(x.dtype()));
  const TraceRange trace("batch_norm");
  check_arguments(x, w, b, running_mean, running_var, options, residual);
  const BatchNorm p{x.numel() / x.size(-1), x.size(-1), options.eps, options.momentum, options.training, options.relu};
  // The statistics in use are kept as they are now: running ones may be updated before the backward.
  Tensor y = empty_like(x), mean = empty_like(w), rstd = empty_like(w);
  on(x.device(), x.dtype(), "batch_norm", Floats{}, [&]<class T>(auto dev, T) {
    using A = acc_t<T>;
    batch_norm_forward(dev, p, x.data<T>(), w.data<A>(), b.data<A>(), data_or_null<T>(residual), running_mean.data<A>(),
                       running_var.data<A>(), y.data<T>(), mean.data<A>(), rstd.data<A>());
  });
  if (p.training) {
    running_mean.bump_version();
    running_var.bump_version();
  }

  // A backward needs x for the sums; y for relu's mask, unless it can be recomputed from x. So a frozen layer keeps
  // only y, which the next layer keeps anyway, and a training one only x if there is no residual.
  const bool keep_x = p.training || w.requires_grad() || (p.relu && !residual && b.requires_grad());
  const bool keep_y = p.relu && (residual || !keep_x);
  return record("batch_norm", {x, w, b, residual}, y,
                [=, x = Saved(keep_x ? x : Tensor{}), y = Saved(keep_y ? y : Tensor{}), w = Saved(w),
                 b = Saved(p.relu && !keep_y ? b : Tensor{})](const Tensor& dy, const Needs& needs) -> Grads {
                  Tensor dx = needs[0] ? empty_like(dy) : Tensor{}, dw = needs[1] ? empty_like(w()) : Tensor{},
                         db = needs[2] ? empty_like(w()) : Tensor{};
                  // Without relu the residual's gradient is dy itself.
                  Tensor dresidual = !needs[3] ? Tensor{} : p.relu ? empty_like(dy) : dy;
                  on(dy.device(), dy.dtype(), "batch_norm", Floats{}, [&]<class T>(auto dev, T) {
                    using A = acc_t<T>;
                    batch_norm_backward(dev, p, dy.data<T>(), data_or_null<T>(x()), data_or_null<T>(y()), w().data<A>(),
                                        data_or_null<A>(b()), mean.data<A>(), rstd.data<A>(), data_or_null<T>(dx),
                                        data_or_null<A>(dw), data_or_null<A>(db),
                                        p.relu ? data_or_null<T>(dresidual) : nullptr);
                  });
                  return {dx, dw, db, dresidual};
                });
}

}  // namespace holt
