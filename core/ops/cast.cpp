// Conversion to another dtype (kernels/cast.h says how values round). Between floats the gradient is converted back;
// an integer result has none.
#include "kernels/cast.h"
#include "core/autograd.h"

namespace holt {
Tensor Tensor::to(DType target) const {
  const DType source = dtype();
  if (target == source) return *this;
  Tensor y = empty(shape(), target, device());
  on(device(), source, "to", Numbers{}, [&]<class B, class From>(B dev, From) {
    on(device(), target, "to", Numbers{}, [&]<class C, class To>(C, To) {
      if constexpr (std::is_same_v<B, C> && !std::is_same_v<From, To>)
        cast_any(dev, numel(), data<From>(), y.data<To>());
    });
  });
  if (!is_float(target) || !is_float(source)) return y;
  return record("to", {*this}, y, [source](const Tensor& dy, const Needs&) -> Grads { return {dy.to(source)}; });
}

}  // namespace holt
