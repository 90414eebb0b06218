#include "kernels/window_product.h"

#include "kernels/large_product.h"

namespace holt::window_product {
namespace {

using large::Matrix, large::Operand;

#if defined(__AVX2__) && defined(__FMA__) && !defined(__AVX512F__)
constexpr bool kPays = true;
#else
constexpr bool kPays = false;
#endif

// The windows of x, one for each pixel of y; where they reach beyond the image all is 0.
template <class T>
struct Windows {
  const T* x;
  Conv2d p;

  // Elements [first, first + count) of a pixel's window, numbered [KH][KW][Cin].
  void fill(int64_t pixel, int64_t first, int64_t count, float* to) const {
    const int64_t oh = p.out_h(), ow = p.out_w(), image = pixel / (oh * ow);
    const int64_t a = pixel / ow % oh * p.stride_h - p.pad_h, b = pixel % ow * p.stride_w - p.pad_w;
    // Each row of a window lies in one piece, as in the image, but for what is to the left and right of that.
    const int64_t length = p.kw * p.cin, inside = std::clamp<int64_t>(-b, 0, p.kw) * p.cin,
                  outside = std::clamp<int64_t>(p.w - b, 0, p.kw) * p.cin;
    for (int64_t u = first / length, e = first % length; count > 0; ++u, e = 0) {
      const int64_t end = std::min(length, e + count), row = a + u;
      const int64_t low = row < 0 || row >= p.h ? end : std::clamp(inside, e, end),
                    high = std::clamp(outside, low, end);
      std::fill_n(to, low - e, 0.f);
      if (high > low)
        Matrix<T>{x + ((image * p.h + row) * p.w + b) * p.cin + low, 0}.fill(0, 0, high - low, to + low - e);
      std::fill_n(to + high - e, end - high, 0.f);
      to += end - e;
      count -= end - e;
    }
  }
};

bool possible(const Conv2d& p) { return kPays && p.groups == 1 && p.dilation_h == 1 && p.dilation_w == 1; }

}  // namespace

// Measured at batch 1, 4, 16 and 128, 14² to 224².
bool suits_forward(const Conv2d& p) {
  return possible(p) && p.stride_h * p.stride_w > 1 && p.kh * p.kw > 1 && p.cin >= 128 && p.cout >= 64;
}
bool suits_backward_weights(const Conv2d& p) {
  return possible(p) && (p.stride_h * p.stride_w > 1 || p.kh * p.kw > 1) && p.cout >= 64 &&
         p.kh * p.kw * p.cin >= 128;  // a first layer's 27 columns are not worth gathering
}

template <class T, class W>
void conv2d_forward(const Conv2d& p, const T* x, const W* w, const float* scale, const float* shift, T* y) {
  const auto finish = [&](int64_t, int64_t j, int64_t count, float* sums) {
#pragma omp simd
    for (int64_t o = 0; o < count; ++o) {
      const float value = (scale ? scale[j + o] * sums[o] : sums[o]) + (shift ? shift[j + o] : 0);
      sums[o] = p.relu && value < 0 ? 0 : value;  // NaN stays
    }
  };
  const int64_t window = p.kh * p.kw * p.cin;
  large::product(p.n * p.out_h() * p.out_w(), p.cout, window, Operand{Windows<T>{x, p}, true},
                 Operand{Matrix<W>{w, window}, true}, y, finish);
}

template <class T>
void conv2d_backward_weights(const Conv2d& p, const T* dy, const T* x, T* dw) {
  large::product(p.cout, p.kh * p.kw * p.cin, p.n * p.out_h() * p.out_w(), Operand{Matrix<T>{dy, p.cout}, false},
                 Operand{Windows<T>{x, p}, false}, dw, [](int64_t, int64_t, int64_t, float*) {});
}

#define INSTANTIATE(T)                                                                             \
  template void conv2d_forward(const Conv2d&, const T*, const T*, const float*, const float*, T*); \
  template void conv2d_backward_weights(const Conv2d&, const T*, const T*, T*);
INSTANTIATE(float)
INSTANTIATE(bf16)
INSTANTIATE(f16)
#undef INSTANTIATE
template void conv2d_forward(const Conv2d&, const bf16*, const float*, const float*, const float*, bf16*);

}  // namespace holt::window_product
