// Memory-bound: n·(sizeof(From) + sizeof(To)) bytes, no arithmetic. ViT-B's 86 M weights from f32 to bf16 are 516 MB:
// at least 154 µs on an H100 (3.35 TB/s), 511 µs on an RTX 4090 (1.01 TB/s). vec16: 256 threads a block, no shared
// memory, 15 to 30 registers on sm_90: every thread of a multiprocessor is resident, with 16 bytes of the wider type
// each.
#include "kernels/cast.h"

#include "kernels/gpu.cuh"

namespace holt {
namespace {

constexpr int kThreads = 256;

// Rung 1, naive: one element a thread.
template <class From, class To>
__global__ void cast_naive(int64_t n, const From* x, To* y) {
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i < n) y[i] = converted<To>(x[i]);
}

// Rung 2, vec16: as many elements a thread as fill 16 bytes of the wider type; the narrower moves in one access of 2 to
// 16 bytes. On both sides a warp's addresses are one unbroken piece. The last few elements go one by one.
template <class From, class To>
inline constexpr int kPerThread = 16 / static_cast<int>(sizeof(From) > sizeof(To) ? sizeof(From) : sizeof(To));

template <class From, class To>
__global__ void cast_vec16(int64_t n, const From* x, To* y) {
  constexpr int N = kPerThread<From, To>;
  const int64_t i = (int64_t{blockIdx.x} * blockDim.x + threadIdx.x) * N;
  if (i + N <= n) {
    const Vec<From, N> in = *reinterpret_cast<const Vec<From, N>*>(x + i);
    Vec<To, N> out;
#pragma unroll
    for (int k = 0; k < N; ++k) out[k] = converted<To>(in[k]);
    *reinterpret_cast<Vec<To, N>*>(y + i) = out;
  } else {
    for (int64_t k = i; k < n; ++k) y[k] = converted<To>(x[k]);
  }
}

template <class From, class To>
void run_naive(Gpu gpu, int64_t n, const From* x, To* y) {
  launch<cast_naive<From, To>>(gpu, {cdiv(n, kThreads), kThreads}, n, x, y);
}

template <class From, class To>
void run_vec16(Gpu gpu, int64_t n, const From* x, To* y) {
  constexpr int N = kPerThread<From, To>;
  const auto aligned = [](const void* p, size_t bytes) { return reinterpret_cast<uintptr_t>(p) % bytes == 0; };
  if (!aligned(x, N * sizeof(From)) || !aligned(y, N * sizeof(To))) return run_naive(gpu, n, x, y);
  launch<cast_vec16<From, To>>(gpu, {cdiv(cdiv(n, N), kThreads), kThreads}, n, x, y);
}

}  // namespace

template <class B, class From, class To>
void cast(B gpu, int64_t n, const From* x, To* y) {
  static_assert(has_cast<B, From, To>);
  constexpr decltype(&run_naive<From, To>) rungs[] = {run_naive<From, To>, run_vec16<From, To>};
  rungs[cast_rungs.pick("vec16")](gpu, n, x, y);
}

#define INSTANTIATE(From, To) template void cast(Gpu, int64_t, const From*, To*);
#define BOTH_WAYS(A, B) INSTANTIATE(A, B) INSTANTIATE(B, A)
BOTH_WAYS(float, bf16)
BOTH_WAYS(float, f16)
BOTH_WAYS(float, int64_t)
BOTH_WAYS(float, int32_t)
BOTH_WAYS(float, uint8_t)
BOTH_WAYS(bf16, f16)
BOTH_WAYS(int32_t, int64_t)
BOTH_WAYS(int32_t, uint8_t)
INSTANTIATE(uint8_t, bf16)
INSTANTIATE(uint8_t, f16)
#undef BOTH_WAYS
#undef INSTANTIATE

}  // namespace holt
