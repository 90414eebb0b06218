#include "kernels/cross_entropy.h"

#include "core/autograd.h"
#include "core/ops.h"
#include "kernels/trace.h"

namespace holt {

Tensor cross_entropy(const Tensor& logits, const Tensor& labels, const CrossEntropyOptions& options) {
  const TraceRange trace("cross_entropy");
  const Tensor& mask = options.class_mask;
  check(logits.rank() == 2 && logits.size(0) >= 1 && logits.size(1) >= 1,
        "cross_entropy: logits must be [N, C], neither of them 0, got {}", logits);
  const CrossEntropy p{logits.size(0), logits.size(1), options.label_smoothing};
  check(labels.shape() == Shape{p.rows} && labels.dtype() == DType::i64 && labels.device() == logits.device(),
        "cross_entropy: labels must be i64 [{}] on {} to match logits {}, got {}", p.rows, logits.device(), logits,
        labels);
  check(!mask || (mask.shape() == Shape{p.cols} && mask.dtype() == DType::u8 && mask.device() == logits.device()),
        "cross_entropy: class_mask must be u8 [{}] on {} to match logits {}, got {}", p.cols, logits.device(), logits,
        mask);
  check(p.smoothing >= 0 && p.smoothing <= 1, "cross_entropy: label_smoothing must be in 0 … 1, got {}", p.smoothing);

  const DType stats = logits.dtype() == DType::f64 ? DType::f64 : DType::f32;
  Tensor loss = empty({}, stats, logits.device()), row_loss = empty({p.rows}, stats, logits.device());
  Tensor row_max = empty_like(row_loss), row_sum = empty_like(row_loss);
  on(logits.device(), logits.dtype(), "cross_entropy", Floats{}, [&]<class T>(auto dev, T) {
    using A = acc_t<T>;
    cross_entropy_forward(dev, p, logits.data<T>(), labels.data<int64_t>(), data_or_null<uint8_t>(mask), loss.data<A>(),
                          row_loss.data<A>(), row_max.data<A>(), row_sum.data<A>());
  });

  return record("cross_entropy", {logits}, loss,
                [=, logits = Saved(logits), labels = Saved(labels), mask = Saved(mask)](const Tensor& dloss,
                                                                                        const Needs&) -> Grads {
                  Tensor dlogits = empty_like(logits());
                  on(dlogits.device(), dlogits.dtype(), "cross_entropy", Floats{}, [&]<class T>(auto dev, T) {
                    using A = acc_t<T>;
                    cross_entropy_backward(dev, p, dloss.data<A>(), logits().data<T>(), labels().data<int64_t>(),
                                           data_or_null<uint8_t>(mask()), row_max.data<A>(), row_sum.data<A>(),
                                           dlogits.data<T>());
                  });
                  return {dlogits};
                });
}

}  // namespace holt
