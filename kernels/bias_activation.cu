// Memory-bound: 3·R·C·sizeof(T) bytes for 2 to 30 flops an element. GELU's backward behind ViT-B's first MLP layer at
// batch 64, [12608, 3072] bf16, is 232 MB: at least 69 µs on an H100 (3.35 TB/s), 230 µs on an RTX 4090 (1.01 TB/s).
// chunks: 256 threads, 8 rows of 32 columns at a time, so that a thread keeps one column's sum in a register and the
// block meets once, in 1 KB of shared memory; 32 registers on sm_90, all threads resident. Elements go one by one: 2
// sectors a request for 16-bit types where 16-byte accesses would take 16, which costs instructions but no bytes.
#include "kernels/bias_activation.h"

#include "kernels/chunks.cuh"
#include "kernels/gpu.cuh"

namespace holt {
namespace {

// Rung 1, naive: one thread a column, which walks all rows. Coalesced, but with few columns most of the GPU idles.
template <class T>
__global__ void backward_naive(BiasActivation p, const T* dy, const T* saved, T* dpre, T* db) {
  const int64_t c = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (c >= p.cols) return;
  float sum = 0;
  for (int64_t i = c; i < p.rows * p.cols; i += p.cols) {
    const float g = float(dy[i]) * (saved ? activation_slope(p.activation, float(saved[i])) : 1.0f);
    if (dpre) dpre[i] = T(g);
    sum += g;
  }
  if (db) db[c] = T(sum);
}

// Rung 2, chunks: a block takes kRows rows of 32 columns, kRowLanes rows at a time, lanes on neighbouring columns, so
// that every request is whole sectors; it writes dpre on the way and leaves its columns' sums in `partial`. A second
// kernel adds the partial sums in order: no atomics, the same bits every time. Without db the second half is left out.
// 3·R·C·sizeof(T) bytes, each once; the partial sums add 8/kRows bytes an element.
constexpr int kRows = 256, kRowLanes = 8;

template <class T>
__global__ void backward_chunks(BiasActivation p, const T* dy, const T* saved, T* dpre, float* partial) {
  SHARED(float, sums, [kRowLanes][32]);
  const int lane = threadIdx.x % 32, row_lane = threadIdx.x / 32;
  const int64_t blocks_across = cdiv(p.cols, 32), chunk = blockIdx.x / blocks_across;
  const int64_t c = blockIdx.x % blocks_across * 32 + lane, first = chunk * kRows;
  const int64_t last = first + kRows < p.rows ? first + kRows : p.rows;
  float sum = 0;
  if (c < p.cols)
    for (int64_t r = first + row_lane; r < last; r += kRowLanes) {
      const int64_t i = r * p.cols + c;
      const float g = float(dy[i]) * (saved ? activation_slope(p.activation, float(saved[i])) : 1.0f);
      if (dpre) dpre[i] = T(g);
      sum += g;
    }
  if (!partial) return;  // the same for the whole block: the barrier below stays legal
  sums[row_lane][lane] = sum;
  __syncthreads();
  if (row_lane != 0 || c >= p.cols) return;
  for (int k = 1; k < kRowLanes; ++k) sum += sums[k][lane];
  partial[chunk * p.cols + c] = sum;
}

template <class T>
void run_naive(Gpu gpu, BiasActivation p, const T* dy, const T* saved, T* dpre, T* db) {
  launch<backward_naive<T>>(gpu, {cdiv(p.cols, 128), 128}, p, dy, saved, dpre, db);
}

template <class T>
void run_chunks(Gpu gpu, BiasActivation p, const T* dy, const T* saved, T* dpre, T* db) {
  const int64_t chunks = cdiv(p.rows, kRows);
  const Workspace partial(gpu, db ? chunks * p.cols * sizeof(float) : 0);
  launch<backward_chunks<T>>(gpu, {chunks * cdiv(p.cols, 32), 32 * kRowLanes}, p, dy, saved, dpre,
                             db ? partial.as<float>() : nullptr);
  if (db) launch<add_chunks<T>>(gpu, {cdiv(p.cols, 128), 128}, p.cols, chunks, partial.as<float>(), db);
}

}  // namespace

template <class B, class T>
void bias_activation_backward(B gpu, BiasActivation p, const T* dy, const T* saved, T* dpre, T* db) {
  constexpr decltype(&run_naive<T>) rungs[] = {run_naive<T>, run_chunks<T>};
  rungs[bias_activation_backward_rungs.pick("chunks")](gpu, p, dy, saved, dpre, db);
}

#define INSTANTIATE(T) template void bias_activation_backward(Gpu, BiasActivation, const T*, const T*, T*, T*);
INSTANTIATE(float)
INSTANTIATE(bf16)
INSTANTIATE(f16)
#undef INSTANTIATE

}  // namespace holt
