// What the losses over the rows of [R, C] share: the class mask, and the mean over rows.
#pragma once
#include "kernels/gpu.cuh"

namespace holt {

constexpr int kMeanThreads = 256;

/// Whether class c is in the softmax; a null mask allows all.
__device__ inline bool allowed(const uint8_t* mask, int64_t c) { return !mask || mask[c] != 0; }

/// One block adds the rows in a fixed order: the same bits every time.
static __global__ void mean_of_rows(int64_t rows, const float* row_loss, float* loss) {
  float sum = 0;
  for (int64_t r = threadIdx.x; r < rows; r += blockDim.x) sum += row_loss[r];
  sum = block_sum(sum);
  if (threadIdx.x == 0) *loss = sum / rows;
}

}  // namespace holt
