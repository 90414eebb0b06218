#include "kernels/pool2d.h"

#include <limits>

#include "core/autograd.h"
#include "core/ops.h"
#include "kernels/trace.h"

namespace holt {
namespace {

Pool2d check_arguments(const char* op, const Tensor& x, int kernel, int stride, int padding) {
  constexpr int64_t kMax = std::numeric_limits<int>::max();
  if (stride == 0) stride = kernel;
  check(x.rank() == 4, "{}: x must be [N, H, W, C], got {}", op, x);
  check(kernel >= 1 && stride >= 1, "{}: kernel and stride must be at least 1, got {} and {}", op, kernel, stride);
  check(padding >= 0 && padding <= kernel / 2, "{}: padding must be in 0 … kernel/2 = {}, got {}", op, kernel / 2,
        padding);
  const int64_t h = x.size(1), w = x.size(2), c = x.size(3);
  check(h + 2 * padding >= kernel && w + 2 * padding >= kernel,
        "{}: a window of {}×{} with padding {} does not fit into x {}", op, kernel, kernel, padding, x);
  check(h + 2 * padding <= kMax && (w + 2 * padding) * std::max<int64_t>(c, 1) <= kMax && kernel <= 1 << 15,
        "{}: H and W·C must stay below 2^31 and kernel at or below 2^15, got {} and x {}", op, kernel, x);
  Pool2d p{x.size(0), static_cast<int>(h), static_cast<int>(w), static_cast<int>(c), kernel, stride, padding, 0, 0};
  p.out_height = (p.height + 2 * padding - kernel) / stride + 1;
  p.out_width = (p.width + 2 * padding - kernel) / stride + 1;
  return p;
}

Tensor output(const Pool2d& p, const Tensor& x, DType dtype) {
  return empty({p.images, p.out_height, p.out_width, p.channels}, dtype, x.device());
}

// f(pointer to the indices, null if there are none): a window of up to 16×16 fits in a byte.
template <class F>
void with_index(const Pool2d& p, const Tensor& index, F&& f) {
  if (p.kernel <= 16)
    f(data_or_null<uint8_t>(index));
  else
    f(data_or_null<int32_t>(index));
}

}  // namespace

Tensor max_pool2d(const Tensor& x, int kernel, int stride, int padding) {
  const TraceRange trace("max_pool2d");
  const Pool2d p = check_arguments("max_pool2d", x, kernel, stride, padding);
  Tensor y = output(p, x, x.dtype()), index;
  if (grad_enabled() && x.requires_grad()) index = output(p, x, kernel <= 16 ? DType::u8 : DType::i32);
  on(x.device(), x.dtype(), "max_pool2d", Floats{}, [&]<class T>(auto dev, T) {
    with_index(p, index, [&](auto* k) { max_pool2d_forward(dev, p, x.data<T>(), y.data<T>(), k); });
  });
  return record("max_pool2d", {x}, y, [p, index, shape = x.shape()](const Tensor& dy, const Needs&) -> Grads {
    Tensor dx = empty(shape, dy.dtype(), dy.device());
    on(dy.device(), dy.dtype(), "max_pool2d", Floats{}, [&]<class T>(auto dev, T) {
      with_index(p, index, [&](const auto* k) { max_pool2d_backward(dev, p, dy.data<T>(), k, dx.data<T>()); });
    });
    return {dx};
  });
}

Tensor avg_pool2d(const Tensor& x, int kernel, int stride, int padding) {
  const TraceRange trace("avg_pool2d");
  const Pool2d p = check_arguments("avg_pool2d", x, kernel, stride, padding);
  Tensor y = output(p, x, x.dtype());
  on(x.device(), x.dtype(), "avg_pool2d", Floats{},
     [&]<class T>(auto dev, T) { avg_pool2d_forward(dev, p, x.data<T>(), y.data<T>()); });
  return record("avg_pool2d", {x}, y, [p, shape = x.shape()](const Tensor& dy, const Needs&) -> Grads {
    Tensor dx = empty(shape, dy.dtype(), dy.device());
    on(dy.device(), dy.dtype(), "avg_pool2d", Floats{},
       [&]<class T>(auto dev, T) { avg_pool2d_backward(dev, p, dy.data<T>(), dx.data<T>()); });
    return {dx};
  });
}

}  // namespace holt
