#include "kernels/global_avg_pool.h"

#include "kernels/parallel.h"

namespace holt {

template <class B, class T>
void global_avg_pool_forward(B, GlobalAvgPool p, const T* x, T* y) {
  using A = acc_t<T>;
  constexpr int64_t kChannels = 1024, kPixels = 64;  // sums of sums: float's error stays near √P, not P
  const int64_t blocks = (p.channels + kChannels - 1) / kChannels;
  parallel_for(p.images * blocks, p.pixels * std::min(p.channels, kChannels), [=](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t n = task / blocks, first = task % blocks * kChannels,
                    width = std::min(kChannels, p.channels - first);
      const T* xn = x + n * p.pixels * p.channels + first;
      A total[kChannels] = {};
      for (int64_t from = 0; from < p.pixels; from += kPixels) {
        A sum[kChannels] = {};
        for (int64_t i = from; i < std::min(p.pixels, from + kPixels); ++i)
#pragma omp simd
          for (int64_t c = 0; c < width; ++c) sum[c] += A(xn[i * p.channels + c]);
        for (int64_t c = 0; c < width; ++c) total[c] += sum[c];
      }
      for (int64_t c = 0; c < width; ++c) y[n * p.channels + first + c] = T(total[c] / A(p.pixels));
    }
  });
}

template <class B, class T>
void global_avg_pool_backward(B, GlobalAvgPool p, const T* dy, T* dx) {
  using A = acc_t<T>;
  const A scale = A(1) / A(p.pixels);
  parallel_for(p.images * p.pixels, p.channels, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const T* from = dy + i / p.pixels * p.channels;
      T* to = dx + i * p.channels;
#pragma omp simd
      for (int64_t c = 0; c < p.channels; ++c) assign(to[c], A(from[c]) * scale);
    }
  });
}

#define INSTANTIATE(T)                                                     \
  template void global_avg_pool_forward(Cpu, GlobalAvgPool, const T*, T*); \
  template void global_avg_pool_backward(Cpu, GlobalAvgPool, const T*, T*);
INSTANTIATE(float)
INSTANTIATE(bf16)
INSTANTIATE(f16)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace holt
