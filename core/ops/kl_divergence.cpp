#include "kernels/kl_divergence.h"

#include <cmath>

#include "core/autocast.h"
#include "core/autograd.h"
#include "core/ops.h"
#include "kernels/trace.h"

namespace holt {

Tensor kl_divergence(const Tensor& teacher, const Tensor& logits, double temperature, const Tensor& mask) {
  if (autocast_promotes(teacher, logits))
    return kl_divergence(teacher.to(DType::f32), logits.to(DType::f32), temperature, mask);
  const TraceRange trace("kl_divergence");
  check(logits.rank() == 2 && logits.size(0) >= 1 && logits.size(1) >= 1,
        "kl_divergence: logits must be [N, C], neither of them 0, got {}", logits);
  check(teacher && teacher.shape() == logits.shape() && teacher.dtype() == logits.dtype() &&
            teacher.device() == logits.device(),
        "kl_divergence: teacher must be like logits {}, got {}", logits, teacher);
  check(!teacher.requires_grad(), "kl_divergence: teacher {} requires a gradient, but is a constant here: detach it",
        teacher);
  check(temperature > 0 && std::isfinite(temperature), "kl_divergence: temperature must be positive, got {}",
        temperature);
  const KlDivergence p{logits.size(0), logits.size(1), 1 / temperature};
  check(!mask || (mask.shape() == Shape{p.cols} && mask.dtype() == DType::u8 && mask.device() == logits.device()),
        "kl_divergence: class_mask must be u8 [{}] on {} to match logits {}, got {}", p.cols, logits.device(), logits,
        mask);

  const DType stats = logits.dtype() == DType::f64 ? DType::f64 : DType::f32;
  Tensor loss = empty({}, stats, logits.device()), row_loss = empty({p.rows}, stats, logits.device()),
         row_stats = empty({p.rows, 4}, stats, logits.device());
  on(logits.device(), logits.dtype(), "kl_divergence", Floats{}, [&]<class T>(auto dev, T) {
    using A = acc_t<T>;
    kl_divergence_forward(dev, p, teacher.data<T>(), logits.data<T>(), data_or_null<uint8_t>(mask), loss.data<A>(),
                          row_loss.data<A>(), row_stats.data<A>());
  });

  return record("kl_divergence", {logits}, loss,
                [=, teacher = Saved(teacher), logits = Saved(logits), mask = Saved(mask)](const Tensor& dloss,
                                                                                          const Needs&) -> Grads {
                  Tensor dlogits = empty_like(logits());
                  on(dlogits.device(), dlogits.dtype(), "kl_divergence", Floats{}, [&]<class T>(auto dev, T) {
                    using A = acc_t<T>;
                    kl_divergence_backward(dev, p, dloss.data<A>(), teacher().data<T>(), logits().data<T>(),
                                           data_or_null<uint8_t>(mask()), row_stats.data<A>(), dlogits.data<T>());
                  });
                  return {dlogits};
                });
}

}  // namespace holt
