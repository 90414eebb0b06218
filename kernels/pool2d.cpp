#include "kernels/pool2d.h"

#include <type_traits>

#include "kernels/parallel.h"

namespace holt {
namespace {

// Most channels that are worked on at once: their maxima or sums stay in the nearest cache.
constexpr int kBlock = 64;

// f(image, row, column, first channel, channels) for each pixel of `images` images and each block of channels. The last
// argument is a constant, 64 or 16, for all but the last few channels: a loop over it has no rest to look for.
template <class F>
void for_pixels(const Pool2d& p, int height, int width, int work, F&& f) {
  const int64_t rows = p.images * height;
  parallel_for(rows, int64_t{width} * p.channels * work, [=](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t image = row / height;
      const int h = static_cast<int>(row % height);
      for (int w = 0; w < width; ++w) {
        int c = 0;
        for (; c + kBlock <= p.channels; c += kBlock) f(image, h, w, c, std::integral_constant<int, kBlock>{});
        for (; c + 16 <= p.channels; c += 16) f(image, h, w, c, std::integral_constant<int, 16>{});
        if (c < p.channels) f(image, h, w, c, p.channels - c);
      }
    }
  });
}

int64_t in_offset(const Pool2d& p, int64_t n, int h, int w, int c) {
  return ((n * p.height + h) * p.width + w) * p.channels + c;
}
int64_t out_offset(const Pool2d& p, int64_t n, int h, int w, int c) {
  return ((n * p.out_height + h) * p.out_width + w) * p.channels + c;
}

// Work per element: a window covers K² pixels, and a pixel is covered by about (K/S)² windows.
int window_work(const Pool2d& p) { return p.kernel * p.kernel; }
int cover_work(const Pool2d& p) {
  const int each = (p.kernel + p.stride - 1) / p.stride;
  return each * each;
}

}  // namespace

template <class B, class T, class I>
void max_pool2d_forward(B, Pool2d p, const T* x, T* y, I* index) {
  using A = acc_t<T>;
  for_pixels(p, p.out_height, p.out_width, window_work(p), [=](int64_t n, int oh, int ow, int c0, auto width) {
    const PoolRange hs = pool_window(p, oh, p.height), ws = pool_window(p, ow, p.width);
    const int top = oh * p.stride - p.padding, left = ow * p.stride - p.padding;
    A best[kBlock];
    int32_t where[kBlock];
    const T* first = x + in_offset(p, n, hs.begin, ws.begin, c0);
    for (int c = 0; c < width; ++c) {
      best[c] = A(first[c]);
      where[c] = (hs.begin - top) * p.kernel + ws.begin - left;
    }
    for (int h = hs.begin; h < hs.end; ++h)
      for (int w = ws.begin; w < ws.end; ++w) {
        const T* xs = x + in_offset(p, n, h, w, c0);
        const int32_t k = (h - top) * p.kernel + w - left;
#pragma omp simd
        for (int c = 0; c < width; ++c) {
          const A v = A(xs[c]);
          const bool take = (v > best[c]) | (v != v);
          best[c] = take ? v : best[c];
          where[c] = take ? k : where[c];
        }
      }
    const int64_t out = out_offset(p, n, oh, ow, c0);
#pragma omp simd
    for (int c = 0; c < width; ++c) assign(y[out + c], best[c]);
    if (index)
      for (int c = 0; c < width; ++c) index[out + c] = static_cast<I>(where[c]);
  });
}

template <class B, class T, class I>
void max_pool2d_backward(B, Pool2d p, const T* dy, const I* index, T* dx) {
  using A = acc_t<T>;
  for_pixels(p, p.height, p.width, cover_work(p), [=](int64_t n, int h, int w, int c0, auto width) {
    const PoolRange ohs = pool_windows_over(p, h, p.out_height), ows = pool_windows_over(p, w, p.out_width);
    A sum[kBlock] = {};
    for (int oh = ohs.begin; oh < ohs.end; ++oh)
      for (int ow = ows.begin; ow < ows.end; ++ow) {
        const int32_t here = (h + p.padding - oh * p.stride) * p.kernel + w + p.padding - ow * p.stride;
        const int64_t out = out_offset(p, n, oh, ow, c0);
#pragma omp simd
        for (int c = 0; c < width; ++c) {
          const A g = A(dy[out + c]);  // read in any case: a load under a condition is no vector's
          sum[c] += static_cast<int32_t>(index[out + c]) == here ? g : A(0);
        }
      }
    T* to = dx + in_offset(p, n, h, w, c0);
#pragma omp simd
    for (int c = 0; c < width; ++c) assign(to[c], sum[c]);
  });
}

template <class B, class T>
void avg_pool2d_forward(B, Pool2d p, const T* x, T* y) {
  using A = acc_t<T>;
  const A scale = A(1) / A(p.kernel * p.kernel);
  for_pixels(p, p.out_height, p.out_width, window_work(p), [=](int64_t n, int oh, int ow, int c0, auto width) {
    const PoolRange hs = pool_window(p, oh, p.height), ws = pool_window(p, ow, p.width);
    A sum[kBlock] = {};
    for (int h = hs.begin; h < hs.end; ++h)
      for (int w = ws.begin; w < ws.end; ++w) {
        const T* xs = x + in_offset(p, n, h, w, c0);
#pragma omp simd
        for (int c = 0; c < width; ++c) sum[c] += A(xs[c]);
      }
    T* to = y + out_offset(p, n, oh, ow, c0);
#pragma omp simd
    for (int c = 0; c < width; ++c) assign(to[c], sum[c] * scale);
  });
}

template <class B, class T>
void avg_pool2d_backward(B, Pool2d p, const T* dy, T* dx) {
  using A = acc_t<T>;
  const A scale = A(1) / A(p.kernel * p.kernel);
  for_pixels(p, p.height, p.width, cover_work(p), [=](int64_t n, int h, int w, int c0, auto width) {
    const PoolRange ohs = pool_windows_over(p, h, p.out_height), ows = pool_windows_over(p, w, p.out_width);
    A sum[kBlock] = {};
    for (int oh = ohs.begin; oh < ohs.end; ++oh)
      for (int ow = ows.begin; ow < ows.end; ++ow) {
        const T* from = dy + out_offset(p, n, oh, ow, c0);
#pragma omp simd
        for (int c = 0; c < width; ++c) sum[c] += A(from[c]);
      }
    T* to = dx + in_offset(p, n, h, w, c0);
#pragma omp simd
    for (int c = 0; c < width; ++c) assign(to[c], sum[c] * scale);
  });
}

#define INSTANTIATE_MAX(T, I)                                      \
  template void max_pool2d_forward(Cpu, Pool2d, const T*, T*, I*); \
  template void max_pool2d_backward(Cpu, Pool2d, const T*, const I*, T*);
#define INSTANTIATE(T)                                         \
  INSTANTIATE_MAX(T, uint8_t)                                  \
  INSTANTIATE_MAX(T, int32_t)                                  \
  template void avg_pool2d_forward(Cpu, Pool2d, const T*, T*); \
  template void avg_pool2d_backward(Cpu, Pool2d, const T*, T*);
INSTANTIATE(float)
INSTANTIATE(bf16)
INSTANTIATE(f16)
INSTANTIATE(double)
#undef INSTANTIATE
#undef INSTANTIATE_MAX

}  // namespace holt
