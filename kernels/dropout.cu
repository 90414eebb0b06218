// 2·n·sizeof(T) bytes and about 15 integer operations an element (Philox). [12608, 768] bf16 is 39 MB: at least 12 µs
// on an H100 (3.35 TB/s), 38 µs on an RTX 4090 (1.01 TB/s). The 145 M integer operations take 10 and 7 µs at 64 a clock
// and multiprocessor: on an H100 nearly as long as the memory, which is why a draw's 128 bits are all used. vec16: 16
// bytes an access, 256 threads a block, no shared memory, 24 to 28 registers on sm_90: every thread is resident, so
// that the warps that compute and those that wait for memory hide each other.
#include "kernels/dropout.h"

#include "kernels/gpu.cuh"

namespace holt {
namespace {

constexpr int kThreads = 256;

struct Mask {
  Dropout options;
  uint32_t threshold;
  float scale;
};

template <class T>
__device__ T masked(const Mask& m, uint32_t bits, T x) {
  return bits >> 8 >= m.threshold ? T(float(x) * m.scale) : T(0.0f);
}

// Rung 1, naive: one element a thread, so that four threads draw the same 128 bits and each uses 32 of them.
template <class T>
__global__ void dropout_naive(Mask m, int64_t n, const T* x, T* y) {
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i < n)
    y[i] = masked(m, philox(m.options.seed, m.options.stream_now(), static_cast<uint64_t>(i / 4)).v[i % 4], x[i]);
}

// Rung 2, vec16: 16 bytes a thread, so one draw for 32-bit elements and two for 16-bit ones, all bits used.
template <class T>
__global__ void dropout_vec16(Mask m, int64_t n, const T* x, T* y) {
  constexpr int N = Vec<T>::size;
  const int64_t i = (int64_t{blockIdx.x} * blockDim.x + threadIdx.x) * N;
  if (i >= n) return;
  const bool whole = i + N <= n && aligned16(x) && aligned16(y);
  Vec<T> v{};
  if (whole) v = load16(x + i);
#pragma unroll
  for (int q = 0; q < N / 4; ++q) {
    const Philox4 r = philox(m.options.seed, m.options.stream_now(), static_cast<uint64_t>(i / 4 + q));
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      const int64_t j = i + 4 * q + k;
      if (whole)
        v[4 * q + k] = masked(m, r.v[k], v[4 * q + k]);
      else if (j < n)
        y[j] = masked(m, r.v[k], x[j]);
    }
  }
  if (whole) store16(y + i, v);
}

template <class T>
void run_naive(Gpu gpu, const Mask& m, int64_t n, const T* x, T* y) {
  launch<dropout_naive<T>>(gpu, {cdiv(n, kThreads), kThreads}, m, n, x, y);
}

template <class T>
void run_vec16(Gpu gpu, const Mask& m, int64_t n, const T* x, T* y) {
  launch<dropout_vec16<T>>(gpu, {cdiv(cdiv(n, Vec<T>::size), kThreads), kThreads}, m, n, x, y);
}

}  // namespace

template <class B, class T>
void dropout(B gpu, Dropout o, int64_t n, const T* x, T* y) {
  const Mask m{o, o.threshold(), static_cast<float>(o.scale())};
  constexpr decltype(&run_naive<T>) rungs[] = {run_naive<T>, run_vec16<T>};
  rungs[dropout_rungs.pick("vec16")](gpu, m, n, x, y);
}

#define INSTANTIATE(T) template void dropout(Gpu, Dropout, int64_t, const T*, T*);
INSTANTIATE(float)
INSTANTIATE(bf16)
INSTANTIATE(f16)
#undef INSTANTIATE

}  // namespace holt
