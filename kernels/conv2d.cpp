#include "kernels/conv2d.h"

#include <algorithm>

#include "kernels/activation.h"
#include "kernels/matmul.h"
#include "kernels/onednn.h"
#include "kernels/via_float.h"
#include "kernels/weight_sums.h"
#include "kernels/window_product.h"
#include "kernels/winograd.h"

namespace holt {
namespace {

// In double, which oneDNN does not have, from the definition: it exists to prove gradients; it is threaded, not tuned.
// Each output element belongs to one thread.

void forward_f64(const Conv2d& p, const double* x, const double* w, const double* bias, double* y) {
  const int64_t oh = p.out_h(), ow = p.out_w(), in = p.group_in(), out = p.group_out(), window = p.kh * p.kw * in;
  parallel_for(p.n * oh, ow * p.cout * window, [=](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row)
      for (int64_t j = 0; j < ow; ++j)
        for (int64_t o = 0; o < p.cout; ++o) {
          double sum = bias ? bias[o] : 0;
          for (int64_t u = 0; u < p.kh; ++u)
            for (int64_t v = 0; v < p.kw; ++v) {
              const int64_t a = row % oh * p.stride_h + u * p.dilation_h - p.pad_h,
                            b = j * p.stride_w + v * p.dilation_w - p.pad_w;
              if (a < 0 || a >= p.h || b < 0 || b >= p.w) continue;
              const double* pixel = x + ((row / oh * p.h + a) * p.w + b) * p.cin + o / out * in;
              const double* weight = w + ((o * p.kh + u) * p.kw + v) * in;
              for (int64_t c = 0; c < in; ++c) sum += pixel[c] * weight[c];
            }
          y[(row * ow + j) * p.cout + o] = p.relu ? relu_of(sum) : sum;
        }
  });
}

void backward_data_f64(const Conv2d& p, const double* dy, const double* w, double* dx) {
  const int64_t oh = p.out_h(), ow = p.out_w(), in = p.group_in(), out = p.group_out(), image = p.h * p.w * p.cin;
  parallel_for(p.n, oh * ow * p.cout * p.kh * p.kw * in, [=](int64_t begin, int64_t end) {
    std::fill(dx + begin * image, dx + end * image, 0.0);
    for (int64_t row = begin * oh; row < end * oh; ++row)
      for (int64_t j = 0; j < ow; ++j)
        for (int64_t o = 0; o < p.cout; ++o) {
          const double g = dy[(row * ow + j) * p.cout + o];
          for (int64_t u = 0; u < p.kh; ++u)
            for (int64_t v = 0; v < p.kw; ++v) {
              const int64_t a = row % oh * p.stride_h + u * p.dilation_h - p.pad_h,
                            b = j * p.stride_w + v * p.dilation_w - p.pad_w;
              if (a < 0 || a >= p.h || b < 0 || b >= p.w) continue;
              double* pixel = dx + ((row / oh * p.h + a) * p.w + b) * p.cin + o / out * in;
              const double* weight = w + ((o * p.kh + u) * p.kw + v) * in;
              for (int64_t c = 0; c < in; ++c) pixel[c] += g * weight[c];
            }
        }
  });
}

void backward_weights_f64(const Conv2d& p, const double* dy, const double* x, double* dw) {
  const int64_t oh = p.out_h(), ow = p.out_w(), in = p.group_in(), out = p.group_out(), window = p.kh * p.kw * in;
  parallel_for(p.cout, p.n * oh * ow * window, [=](int64_t begin, int64_t end) {
    std::fill(dw + begin * window, dw + end * window, 0.0);
    for (int64_t o = begin; o < end; ++o)
      for (int64_t row = 0; row < p.n * oh; ++row)
        for (int64_t j = 0; j < ow; ++j) {
          const double g = dy[(row * ow + j) * p.cout + o];
          for (int64_t u = 0; u < p.kh; ++u)
            for (int64_t v = 0; v < p.kw; ++v) {
              const int64_t a = row % oh * p.stride_h + u * p.dilation_h - p.pad_h,
                            b = j * p.stride_w + v * p.dilation_w - p.pad_w;
              if (a < 0 || a >= p.h || b < 0 || b >= p.w) continue;
              const double* pixel = x + ((row / oh * p.h + a) * p.w + b) * p.cin + o / out * in;
              double* weight = dw + ((o * p.kh + u) * p.kw + v) * in;
              for (int64_t c = 0; c < in; ++c) weight[c] += g * pixel[c];
            }
        }
  });
}

// With 1×1 windows dw = dyᵀ·x, and that product is faster than oneDNN's convolution where the sums are short or the
// output has more channels than the input (ResNet-50 at 56²…7², one and two threads: 1.0 to 1.3 times as fast, in bf16
// up to 1.4 times).
template <class T>
bool weights_by_product(const Conv2d& p) {
  const bool pointwise =
      p.groups == 1 && p.kh * p.kw == 1 && p.stride_h == 1 && p.stride_w == 1 && p.pad_h == 0 && p.pad_w == 0;
  const int64_t pixels = p.h * p.w;
  return pointwise && (std::is_same_v<T, float> ? pixels <= 14 * 14 || p.cout >= 4 * p.cin : pixels <= 28 * 28);
}

// Winograd's way takes float, and bf16 through float.
template <class T>
inline constexpr bool kWinograd = std::is_same_v<T, float> || std::is_same_v<T, bf16>;

template <class T>
bool by_winograd(const Conv2d& p, winograd::Pass pass) {
  if constexpr (kWinograd<T>) return winograd::suits<T>(p, pass);
  return false;
}

}  // namespace

template <class B, class T>
void conv2d_forward(B cpu, Conv2d p, const T* x, const T* w, const T* bias, T* y) {
  if (p.y_size() == 0) return;
  if constexpr (std::is_same_v<T, double>) {
    forward_f64(p, x, w, bias, y);
  } else if (p.w_size() == 0) {  // no input channels: what is left is the bias
    for (int64_t i = 0; i < p.y_size(); ++i)
      y[i] = bias ? (p.relu ? T(relu_of(float(bias[i % p.cout]))) : bias[i % p.cout]) : T(0);
  } else if (by_winograd<T>(p, winograd::Pass::forward)) {
    if constexpr (kWinograd<T>) {
      const Widened shift(p.cout, bias);
      winograd::conv2d_forward<T, T>(p, x, w, {.shift = shift, .relu = p.relu}, y);
    }
  } else if (window_product::suits_forward(p)) {
    const Widened shift(p.cout, bias);
    window_product::conv2d_forward<T, T>(p, x, w, nullptr, shift, y);
  } else if (onednn::computes(dtype_of<T>)) {
    onednn::conv2d_forward(dtype_of<T>, p, x, w, bias, y);
  } else if constexpr (!std::is_same_v<T, float>) {
    const Widened wx(p.x_size(), x), ww(p.w_size(), w), wbias(p.cout, bias);
    const Rounded ry(p.y_size(), y);
    conv2d_forward<Cpu, float>(cpu, p, wx, ww, wbias, ry);
    ry.store();
  }
}

template <class B, class T>
void conv2d_backward_data(B cpu, Conv2d p, const T* dy, const T* w, T* dx) {
  if (p.x_size() == 0) return;
  if constexpr (std::is_same_v<T, double>) {
    backward_data_f64(p, dy, w, dx);
  } else if (p.y_size() == 0) {
    std::fill_n(dx, p.x_size(), T(0));
  } else if (by_winograd<T>(p, winograd::Pass::backward_data)) {
    if constexpr (kWinograd<T>) winograd::conv2d_backward_data(p, dy, w, dx);
  } else if (onednn::computes(dtype_of<T>)) {
    onednn::conv2d_backward_data(dtype_of<T>, p, dy, w, dx);
  } else if constexpr (!std::is_same_v<T, float>) {
    const Widened wdy(p.y_size(), dy), ww(p.w_size(), w);
    const Rounded rdx(p.x_size(), dx);
    conv2d_backward_data<Cpu, float>(cpu, p, wdy, ww, rdx);
    rdx.store();
  }
}

template <class B, class T>
void conv2d_backward_weights(B cpu, Conv2d p, const T* dy, const T* x, T* dw) {
  if (p.w_size() == 0) return;
  if constexpr (std::is_same_v<T, double>) {
    backward_weights_f64(p, dy, x, dw);
  } else if (p.n == 0) {
    std::fill_n(dw, p.w_size(), T(0));
  } else if (by_winograd<T>(p, winograd::Pass::backward_weights)) {
    if constexpr (kWinograd<T>) winograd::conv2d_backward_weights(p, dy, x, dw);
  } else if (window_product::suits_backward_weights(p)) {
    window_product::conv2d_backward_weights(p, dy, x, dw);
  } else if (onednn::computes(dtype_of<T>)) {
    if constexpr (std::is_same_v<T, float> || std::is_same_v<T, bf16>) {
      if (weights_by_product<T>(p))
        return onednn::matmul(dtype_of<T>,
                              {.batch = 1, .m = p.cout, .n = p.cin, .k = p.n * p.h * p.w, .transpose_a = true}, dy, x,
                              nullptr, dw);
      if (weight_sums::suits<T>(p)) return weight_sums::conv2d_backward_weights(p, dy, x, dw);
    }
    onednn::conv2d_backward_weights(dtype_of<T>, p, dy, x, dw);
  } else if constexpr (!std::is_same_v<T, float>) {
    const Widened wdy(p.y_size(), dy), wx(p.x_size(), x);
    const Rounded rdw(p.w_size(), dw);
    conv2d_backward_weights<Cpu, float>(cpu, p, wdy, wx, rdw);
    rdw.store();
  }
}

template <class T>
void conv2d_affine(Cpu, Conv2d p, const T* x, const float* w, const float* scale, const float* shift, const T* residual,
                   T* y, Packed* packed) {
  if (winograd::suits<T>(p, winograd::Pass::forward))
    return winograd::conv2d_forward<T>(p, x, w, {scale, shift, residual, p.relu}, y, packed);
  if (!residual && window_product::suits_forward(p)) return window_product::conv2d_forward(p, x, w, scale, shift, y);
  if constexpr (!std::is_same_v<T, float>) {
    if (!onednn::computes(dtype_of<T>)) {
      const Widened wx(p.x_size(), x), wresidual(p.y_size(), residual);
      const Rounded ry(p.y_size(), y);
      conv2d_affine<float>(Cpu{}, p, wx, w, scale, shift, wresidual, ry, packed);
      return ry.store();
    }
  }
  // oneDNN's epilogue is fastest with a bias and what y holds; a scale or another tensor cost up to a third more.
  if (residual && residual != y)
    parallel_for(p.y_size(), 1,
                 [=](int64_t begin, int64_t end) { std::copy(residual + begin, residual + end, y + begin); });
  const auto scaled = [&](void* to) {
    const int64_t window = p.w_size() / p.cout;
    parallel_for(p.cout, window, [&](int64_t begin, int64_t end) {
      for (int64_t o = begin; o < end; ++o)
#pragma omp simd
        for (int64_t i = o * window; i < (o + 1) * window; ++i) assign(static_cast<T*>(to)[i], scale[o] * w[i]);
    });
  };
  Packed once;
  onednn::conv2d_affine(dtype_of<T>, p, x, scaled, shift, residual != nullptr, y, packed ? *packed : once);
}

template void conv2d_affine(Cpu, Conv2d, const float*, const float*, const float*, const float*, const float*, float*,
                            Packed*);
template void conv2d_affine(Cpu, Conv2d, const bf16*, const float*, const float*, const float*, const bf16*, bf16*,
                            Packed*);

#define INSTANTIATE(T)                                                         \
  template void conv2d_forward(Cpu, Conv2d, const T*, const T*, const T*, T*); \
  template void conv2d_backward_data(Cpu, Conv2d, const T*, const T*, T*);     \
  template void conv2d_backward_weights(Cpu, Conv2d, const T*, const T*, T*);
INSTANTIATE(float)
INSTANTIATE(bf16)
INSTANTIATE(f16)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace holt
