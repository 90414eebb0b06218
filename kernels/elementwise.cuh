// What kernels that walk over elements share: a grid that is legal for every size, and its threads' numbering.
#pragma once
#include <algorithm>

#include "kernels/gpu.cuh"

namespace holt {

/// 256 threads a block, eight blocks a multiprocessor at up to 32 registers. 4096 blocks are about four waves on an
/// H100 (132 multiprocessors): enough to even out the tail, few enough that a thread's set-up does not count. Kernels
/// stride by thread_count() over what remains.
inline LaunchShape grid_over(int64_t items) {
  constexpr int64_t kThreads = 256, kMaxBlocks = 4096;
  return {static_cast<unsigned>(std::min(cdiv(items, kThreads), kMaxBlocks)), static_cast<unsigned>(kThreads)};
}

__device__ inline int64_t thread_index() { return int64_t{blockIdx.x} * blockDim.x + threadIdx.x; }
__device__ inline int64_t thread_count() { return int64_t{gridDim.x} * blockDim.x; }

/// a / b for a ≥ 0, b > 0. A 64-bit division is a subroutine of about 70 instructions: it is done only where 32 bits do
/// not suffice, which a warp decides as one.
__device__ inline int64_t divide(int64_t a, int64_t b) {
  if (((a | b) >> 32) == 0) return static_cast<uint32_t>(a) / static_cast<uint32_t>(b);
  return a / b;
}

}  // namespace holt
