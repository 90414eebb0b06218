// Long sums with few results are cut into chunks of a fixed size, so that many threads are busy; here their parts are
// put together, in order: the same bits every time.
#pragma once
#include "kernels/gpu.cuh"

namespace holt {
namespace {  // a kernel's name is its file's own

/// sums[i] = Σ_k partial[k·n + i], rounded once. A thread a sum.
template <class T>
__global__ void add_chunks(int64_t n, int64_t chunks, const float* partial, T* sums) {
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i >= n) return;
  float sum = 0;
  for (int64_t k = 0; k < chunks; ++k) sum += partial[k * n + i];
  sums[i] = T(sum);
}

}  // namespace
}  // namespace holt
