// gpu.cuh's dialect for nvcc. Its twin is simt/gpu_simt.h.
#pragma once
#include <cuda_runtime.h>

#include <string_view>

#include "kernels/cuda/launch.h"
#include "kernels/device.h"

#define IN_REGISTERS __device__ __forceinline__
#define SHARED(T, name, ...) __shared__ T name __VA_ARGS__
#define DYNAMIC_SHARED(T, name)                                        \
  extern __shared__ __align__(16) unsigned char holt_dynamic_shared[]; \
  T* const name = reinterpret_cast<T*>(holt_dynamic_shared)

namespace holt {

using Gpu = Cuda;

struct LaunchShape {
  dim3 grid, block;
  size_t shared_bytes = 0;
};

namespace detail {

// A kernel's own name, cut out of what the compiler calls this function.
template <auto Kernel>
constexpr std::string_view kernel_name() {
  std::string_view s = __PRETTY_FUNCTION__;
  s.remove_prefix(s.find("Kernel = ") + 9);
  return s.substr(0, s.rfind(']'));
}

__device__ inline void move16(void* dst, const void* src) {
  *static_cast<uint4*>(dst) = *static_cast<const uint4*>(src);
}
__device__ inline void move8(void* dst, const void* src) {
  *static_cast<uint2*>(dst) = *static_cast<const uint2*>(src);
}

}  // namespace detail

/// Starts Kernel(args…) on gpu's stream. A grid of zero blocks starts nothing.
template <auto Kernel, class... A>
void launch(Cuda gpu, LaunchShape s, A... args) {
  if (s.grid.x == 0 || s.grid.y == 0 || s.grid.z == 0) return;
  cudaError_t status = cudaSuccess;
  if (s.shared_bytes > 48 * 1024)  // more than the default needs to be asked for
    status =
        cudaFuncSetAttribute(Kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(s.shared_bytes));
  if (status == cudaSuccess) Kernel<<<s.grid, s.block, s.shared_bytes, gpu.stream>>>(args...);
  check_launch(gpu, {detail::kernel_name<Kernel>(),
                     {s.grid.x, s.grid.y, s.grid.z},
                     {s.block.x, s.block.y, s.block.z},
                     s.shared_bytes});
}

/// Adds two bf16 to two neighbours in one step, each sum rounded to bf16. p: 4-byte aligned. Returns what was there,
/// the lower address in the lower half.
__device__ inline uint32_t atomic_add_bf16x2(bf16* p, bf16 low, bf16 high) {
  uint32_t old;
#if __CUDA_ARCH__ >= 900  // where 90 is the oldest of HOLT_CUDA_ARCHITECTURES
  const uint32_t x = uint32_t{low.bits} | uint32_t{high.bits} << 16;
  asm volatile("atom.global.add.noftz.bf16x2 %0, [%1], %2;"
               : "=r"(old)
               : "l"(__cvta_generic_to_global(p)), "r"(x)
               : "memory");
#else
  uint32_t* const word = reinterpret_cast<uint32_t*>(p);
  uint32_t seen = *word;
  do {
    old = seen;
    bf16 l, h;
    l.bits = static_cast<uint16_t>(old);
    h.bits = static_cast<uint16_t>(old >> 16);
    const uint32_t sum = uint32_t{bf16(float(l) + float(low)).bits} | uint32_t{bf16(float(h) + float(high)).bits} << 16;
    seen = atomicCAS(word, old, sum);
  } while (seen != old);
#endif
  return old;
}

/// Starts a 16-byte copy from global to shared memory that needs no registers (both 16-byte aligned).
__device__ inline void cp_async16(void* shared, const void* global) {
  asm volatile(
      "cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(static_cast<unsigned>(__cvta_generic_to_shared(shared))),
      "l"(global)
      : "memory");
}
/// The same, but writes zeros if !valid (then `global` is not read; it must still be a legal address).
__device__ inline void cp_async16_or_zero(void* shared, const void* global, bool valid) {
  asm volatile(
      "cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(static_cast<unsigned>(__cvta_generic_to_shared(shared))),
      "l"(global), "r"(valid ? 16 : 0)
      : "memory");
}
/// Closes the group of copies started since the last call.
__device__ inline void cp_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
/// Waits until at most N of this thread's newest groups are still under way. Others' copies need a barrier after it.
template <int N>
__device__ inline void cp_async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
}

/// d += a·b on a warp's tensor cores: a is 16×16, b 16×8, d 16×8; bf16 in, float sums. With g = lane / 4, t = lane % 4:
///   a[0] = A[g][2t,2t+1]   a[1] = A[g+8][2t,2t+1]   a[2] = A[g][2t+8,2t+9]   a[3] = A[g+8][2t+8,2t+9]     (two bf16
///   each, lower first) b[0] = B[2t,2t+1][g]   b[1] = B[2t+8,2t+9][g]   d[0,1] = D[g][2t,2t+1]   d[2,3] =
///   D[g+8][2t,2t+1]
__device__ inline void mma_bf16_16x8x16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
/// The same with f16 inputs.
__device__ inline void mma_f16_16x8x16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/// Loads four 8×8 tiles of 16-bit numbers from shared memory into a warp's registers: lane l names row l % 8 of tile
/// l / 8 (16 bytes, 16-byte aligned). With g = lane / 4, t = lane % 4, r[i] becomes Tile_i[g][2t,2t+1]; the _trans one
/// gives Tile_i[2t][g] and Tile_i[2t+1][g].
__device__ inline void ldmatrix_x4(uint32_t (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(static_cast<unsigned>(__cvta_generic_to_shared(row)))
               : "memory");
}
__device__ inline void ldmatrix_x4_trans(uint32_t (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(static_cast<unsigned>(__cvta_generic_to_shared(row)))
               : "memory");
}

}  // namespace holt
