// Memory-bound: |x| bytes forward, |dx| backward, one flop an element. A bias gradient in ViT-B at batch 64, [12608,
// 3072] f32 over its rows, is 155 MB: at least 46 µs on an H100 (3.35 TB/s), 153 µs on an RTX 4090 (1.01 TB/s). Chunks
// as reduction.cuh cuts them, blocks of 256 threads, 16 bytes an access where aligned: 34 to 52 registers on sm_90 and
// up to 9 KB of shared memory for columns: 50 to 75 % of an H100's threads.
#include "kernels/sum.h"

#include "kernels/reduction.cuh"

namespace holt {
namespace {

// ---- Forward ----

// Rung 1, naive: one thread a result. In rows its neighbours read addresses `reduced` apart; few results leave the GPU
// idle. Sums of 1024, and then their sum: one running sum of many numbers of one sign drifts away.
template <class T>
__global__ void sum_naive(Reduction p, float scale, const T* x, float* y) {
  for (int64_t j = thread_index(); j < p.outer * p.inner; j += thread_count()) {
    const int64_t o = divide(j, p.inner);
    const T* column = x + o * p.reduced * p.inner + (j - o * p.inner);
    float total = 0;
    for (int64_t k = 0; k < p.reduced;) {
      const int64_t end = k + 1024 < p.reduced ? k + 1024 : p.reduced;
      float part = 0;
      for (; k < end; ++k) part += float(column[k * p.inner]);
      total += part;
    }
    y[j] = scale * total;
  }
}

// Σ x[first … last) by `threads` threads that stand side by side; 16 bytes an access if `vectors` (then first and last
// are multiples of a vector).
template <class T>
__device__ float partial_sum(const T* x, int64_t first, int64_t last, bool vectors, int thread, int threads) {
  constexpr int N = Vec<T>::size;
  float total = 0;
  if (vectors) {
#pragma unroll 4
    for (int64_t i = first + thread * N; i < last; i += threads * N) {
      const Vec<T> v = load16(x + i);
      float s = 0;
#pragma unroll
      for (int n = 0; n < N; ++n) s += float(v[n]);
      total += s;
    }
  } else {
#pragma unroll 4
    for (int64_t i = first + thread; i < last; i += threads) total += float(x[i]);
  }
  return total;
}

// Rung 2, split. Short rows: a warp each, so that neither shared memory nor a barrier is needed.
template <class T>
__global__ void sum_warp_rows(Reduction p, float scale, bool vectors, const T* x, float* y) {
  const int warps = blockDim.x / 32, lane = threadIdx.x % 32;
  for (int64_t o = int64_t{blockIdx.x} * warps + threadIdx.x / 32; o < p.outer; o += int64_t{gridDim.x} * warps) {
    const float total = warp_sum(partial_sum(x + o * p.reduced, 0, p.reduced, vectors, lane, 32));
    if (lane == 0) y[o] = scale * total;
  }
}

// Long rows: a block a chunk; y is [outer, chunks].
template <class T>
__global__ void sum_block_rows(Reduction p, float scale, int64_t chunks, bool vectors, const T* x, float* y) {
  for (int64_t unit = blockIdx.x; unit < p.outer * chunks; unit += gridDim.x) {
    const int64_t o = divide(unit, chunks), first = (unit - o * chunks) * kRowChunk;
    const int64_t last = first + kRowChunk < p.reduced ? first + kRowChunk : p.reduced;
    const float total = block_sum(partial_sum(x + o * p.reduced, first, last, vectors, threadIdx.x, kReduceThreads));
    if (threadIdx.x == 0) y[unit] = scale * total;
  }
}

// Columns: N neighbouring ones a thread; y is [outer, chunks, inner].
template <class T, int N>
__global__ void sum_columns(Reduction p, float scale, int width, int64_t chunks, const T* x, float* y) {
  SHARED(float, sums, [kReduceThreads][N + 1]);  // + 1: neighbours start in different banks
  const int lane = threadIdx.x % width, depth = threadIdx.x / width, depths = kReduceThreads / width;
  const int64_t rows = int64_t{depths} * kDepths, tiles = cdiv(p.inner, int64_t{width} * N);
  for (int64_t unit = blockIdx.x; unit < p.outer * chunks * tiles; unit += gridDim.x) {
    const int64_t part = divide(unit, tiles), o = divide(part, chunks);
    const int64_t column = ((unit - part * tiles) * width + lane) * N, first = (part - o * chunks) * rows;
    const int64_t last = first + rows < p.reduced ? first + rows : p.reduced;
    float total[N] = {};
    if (column < p.inner) {
      const T* from = x + o * p.reduced * p.inner + column;
#pragma unroll 4
      for (int64_t k = first + depth; k < last; k += depths) {
        const Vec<T, N> v = load<N>(from + k * p.inner);
#pragma unroll
        for (int n = 0; n < N; ++n) total[n] += float(v.v[n]);
      }
    }
    __syncthreads();  // the previous unit's readers are done with `sums`
#pragma unroll
    for (int n = 0; n < N; ++n) sums[threadIdx.x][n] = total[n];
    for (int half = depths / 2; half > 0; half /= 2) {
      __syncthreads();
      if (depth >= half) continue;
#pragma unroll
      for (int n = 0; n < N; ++n) sums[threadIdx.x][n] += sums[threadIdx.x + half * width][n];
    }
    if (depth != 0 || column >= p.inner) continue;
#pragma unroll
    for (int n = 0; n < N; ++n) y[part * p.inner + column + n] = scale * sums[threadIdx.x][n];
  }
}

template <class T>
void run_split(Gpu gpu, Reduction p, double scale, const T* x, float* y) {
  constexpr int N = Vec<T>::size;
  const bool rows = p.inner == 1, vectors = aligned16(x) && (rows ? p.reduced : p.inner) % N == 0;
  if (rows && p.reduced <= kWarpRow) {
    launch<sum_warp_rows<T>>(gpu, {blocks_for(cdiv(p.outer, kReduceThreads / 32)), kReduceThreads}, p,
                             static_cast<float>(scale), vectors, x, y);
    return;
  }
  const int width = column_width(p.inner, vectors ? N : 1), depths = kReduceThreads / width;
  const int64_t chunks = cdiv(p.reduced, rows ? kRowChunk : int64_t{depths} * kDepths);
  const Workspace partial(gpu, chunks > 1 ? p.outer * chunks * p.inner * sizeof(float) : 0);
  float* to = chunks > 1 ? partial.as<float>() : y;
  const float s = chunks > 1 ? 1.0f : static_cast<float>(scale);
  const int64_t tiles = rows ? 1 : cdiv(p.inner, int64_t{width} * (vectors ? N : 1));
  const LaunchShape grid{blocks_for(p.outer * chunks * tiles), kReduceThreads};
  if (rows)
    launch<sum_block_rows<T>>(gpu, grid, p, s, chunks, vectors, x, to);
  else if (vectors)
    launch<sum_columns<T, N>>(gpu, grid, p, s, width, chunks, x, to);
  else
    launch<sum_columns<T, 1>>(gpu, grid, p, s, width, chunks, x, to);
  if (chunks > 1) run_split<float>(gpu, {p.outer, chunks, p.inner}, scale, to, y);
}

// ---- Backward ----

// Rung 1, naive: one element a thread and turn.
template <class T>
__global__ void backward_naive(Reduction p, int64_t n, float scale, const float* dy, T* dx) {
  for (int64_t j = thread_index(); j < n; j += thread_count()) {
    const Place at(p, j);
    dx[j] = T(scale * dy[at.o * p.inner + at.i]);
  }
}

// Rung 2, vec16: 16 bytes of dx a thread and turn. Where they lie in one row of dy they take dy 16 bytes at a time too;
// elsewhere its elements' places follow from the first one's without division.
template <class T>
__global__ void backward_vec16(Reduction p, int64_t n, float scale, const float* dy, T* dx) {
  constexpr int N = Vec<T>::size;
  for (int64_t v = thread_index(); v < n / N; v += thread_count()) {
    Place at(p, v * N);
    Vec<T> r;
    if (p.inner % N == 0 && aligned16(dy)) {
#pragma unroll
      for (int k = 0; k < N; k += 4) {
        const Vec<float> four = load16(dy + at.o * p.inner + at.i + k);
#pragma unroll
        for (int e = 0; e < 4; ++e) r[k + e] = T(scale * four[e]);
      }
    } else {
#pragma unroll
      for (int k = 0; k < N; ++k, at.next(p)) r[k] = T(scale * dy[at.o * p.inner + at.i]);
    }
    store16(dx + v * N, r);
  }
  const int64_t j = n / N * N + thread_index();
  if (j >= n) return;
  const Place at(p, j);
  dx[j] = T(scale * dy[at.o * p.inner + at.i]);
}

}  // namespace

template <class B, class T>
void sum(B gpu, Reduction p, double scale, const T* x, acc_t<T>* y) {
  if (p.outer == 0 || p.inner == 0) return;
  if (p.reduced == 0 || sum_rungs.pick("split") == 0)
    launch<sum_naive<T>>(gpu, grid_over(p.outer * p.inner), p, static_cast<float>(scale), x, y);
  else
    run_split(gpu, p, scale, x, y);
}

template <class B, class T>
void sum_backward(B gpu, Reduction p, double scale, const acc_t<T>* dy, T* dx) {
  const int64_t n = p.outer * p.reduced * p.inner;
  if (n == 0) return;
  if (sum_backward_rungs.pick("vec16") == 1 && aligned16(dx))
    launch<backward_vec16<T>>(gpu, grid_over(cdiv(n, Vec<T>::size)), p, n, static_cast<float>(scale), dy, dx);
  else
    launch<backward_naive<T>>(gpu, grid_over(n), p, n, static_cast<float>(scale), dy, dx);
}

#define INSTANTIATE(T)                                         \
  template void sum(Gpu, Reduction, double, const T*, float*); \
  template void sum_backward(Gpu, Reduction, double, const float*, T*);
INSTANTIATE(float)
INSTANTIATE(bf16)
INSTANTIATE(f16)
#undef INSTANTIATE

}  // namespace holt
