// What a .cu file is written in. Each .cu is compiled twice: by nvcc for the GPU (Gpu = Cuda), and by the host compiler
// against kernels/simt/ (Gpu = Simt), where every CUDA thread is a fiber. The dialect is CUDA's own; only what a host
// compiler cannot parse is spelled differently:
//
//   launch<kernel<T>>(gpu, {grid, block, shared_bytes}, args…)      kernel<<<…>>>(args…); an error names the kernel
//   SHARED(float, tile, [32][33]);                                  __shared__ float tile[32][33];
//   DYNAMIC_SHARED(float, buffer);                                  extern __shared__ float buffer[];
//   IN_REGISTERS void add(float (&sum)[4], …) { … }                 __device__ __forceinline__ void add(…) { … }
//
// DYNAMIC_SHARED is 16-byte aligned. A SHARED array is aligned as its type is: one that is read by load16 or filled by
// cp_async16 says so, SHARED(alignas(16) float, tile, [32][32]); the emulator places others where that would fail.
// IN_REGISTERS is for arithmetic on arrays whose every index the compiler knows: AddressSanitizer has nothing to find
// in it, and would take most of a product's time on the emulator.
//
// What differs in more than spelling is a small function with a twin in kernels/simt/: load16 / store16, store8,
// cp_async16, cp_async_commit, cp_async_wait<N>, mma_bf16_16x8x16, atomic_add_bf16x2 (in global memory). Threads,
// barriers
// (__syncthreads, _or, _and, _count, __syncwarp), shuffles, votes, matches, atomics and __activemask have CUDA's names
// and meaning on both.
#pragma once
#include <cmath>
#include <cstdint>
#include <type_traits>

#include "kernels/device.h"
#include "kernels/dtype.h"
#include "kernels/memory.h"
#include "kernels/rungs.h"

#if defined(__CUDACC__)
#include "kernels/gpu_nvcc.cuh"
#else
#include "kernels/simt/gpu_simt.h"
#endif

namespace holt {

template <class I, class J>
HOLT_HD constexpr auto cdiv(I a, J b) {
  return (a + b - 1) / b;
}

/// N values of T that travel as one access: N·sizeof(T) ≤ 16 bytes.
template <class T, int N = 16 / static_cast<int>(sizeof(T))>
struct alignas(sizeof(T) * N) Vec {
  static constexpr int size = N;
  T v[N];
  __device__ T& operator[](int i) { return v[i]; }
  __device__ const T& operator[](int i) const { return v[i]; }
};

/// Whether 16-byte accesses from p on are legal.
template <class T>
HOLT_HD bool aligned16(const T* p) {
  return reinterpret_cast<uintptr_t>(p) % 16 == 0;
}

/// One 16-byte read; p must be 16-byte aligned.
template <class T>
__device__ Vec<T> load16(const T* p) {
  Vec<T> r;
  detail::move16(&r, p);
  return r;
}

/// One 16-byte write; p must be 16-byte aligned.
template <class T>
__device__ void store16(T* p, const Vec<T>& x) {
  detail::move16(p, &x);
}

/// One 8-byte write; p must be 8-byte aligned.
template <class T>
__device__ void store8(T* p, const Vec<T, 8 / static_cast<int>(sizeof(T))>& x) {
  detail::move8(p, &x);
}

/// x. Hides from the compiler where it comes from, so that what follows from it is not computed ahead of a loop and
/// kept: in the loops of products registers are scarcer than instructions.
__device__ inline int hidden(int x) {
#if defined(__CUDA_ARCH__)
  asm volatile("" : "+r"(x));
#endif
  return x;
}

inline constexpr unsigned kFullWarp = 0xffffffffu;

struct Sum {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a + b;
  }
};
struct Max {
  // A NaN must win: it may not vanish in a maximum.
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a > b || a != a ? a : b;
  }
};

/// Combines the values of a warp's 32 lanes; every lane gets the result. All 32 must call.
template <class Op, class T>
__device__ T warp_reduce(T x, Op op) {
  for (int offset = 16; offset > 0; offset /= 2) x = op(x, __shfl_xor_sync(kFullWarp, x, offset));
  return x;
}
template <class T>
__device__ T warp_sum(T x) {
  return warp_reduce(x, Sum{});
}
template <class T>
__device__ T warp_max(T x) {
  return warp_reduce(x, Max{});
}

/// Combines the values of a block's threads (a one-dimensional block, a multiple of 32); every thread gets the result.
/// All must call.
template <class Op, class T>
__device__ T block_reduce(T x, Op op, T identity) {
  SHARED(T, partial, [32]);
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
  x = warp_reduce(x, op);
  __syncthreads();  // the previous call's readers are done with `partial`
  if (lane == 0) partial[warp] = x;
  __syncthreads();
  return warp_reduce(lane < warps ? partial[lane] : identity, op);
}
template <class T>
__device__ T block_sum(T x) {
  return block_reduce(x, Sum{}, T(0));
}
template <class T>
__device__ T block_max(T x) {
  return block_reduce(x, Max{}, T(-INFINITY));
}

}  // namespace holt
