// Memory-bound: |x| bytes forward, |dx| backward, one comparison an element. [12608, 768] f32 is 39 MB: at least 12 µs
// on an H100 (3.35 TB/s), 38 µs on an RTX 4090 (1.01 TB/s). Chunks as reduction.cuh cuts them, blocks of 256 threads:
// 28 to 32 registers on sm_90 for rows (all threads resident), up to 40 for columns with 3 KB of shared memory (75 %).
// Elements go one by one, since each brings its index: whole sectors, but 4 times as many requests as 16-byte loads.
#include "kernels/max.h"

#include "kernels/reduction.cuh"

namespace holt {
namespace {

// ---- Forward ----

// A candidate. Index −1 is "none yet" and loses to all.
struct Best {
  float value;
  int64_t index;
};

// The order in which the largest, and among equals the first, wins; NaN is the largest.
struct Better {
  __device__ Best operator()(const Best& a, const Best& b) const {
    if (a.index < 0 || b.index < 0) return a.index < 0 ? b : a;
    const bool a_nan = a.value != a.value, b_nan = b.value != b.value;
    const bool equal = a_nan ? b_nan : a.value == b.value;
    if (equal) return a.index < b.index ? a : b;
    return a_nan || a.value > b.value ? a : b;
  }
};

// Where candidates come from …
template <class T>
struct Elements {
  const T* x;
  __device__ Best operator()(int64_t j, int64_t k) const { return {float(x[j]), k}; }
};
struct Chunks {
  const Best* best;
  __device__ Best operator()(int64_t j, int64_t) const { return best[j]; }
};

// … and where the winners go.
template <class T>
struct Result {
  T* values;
  int64_t* index;
  __device__ void operator()(int64_t j, const Best& b) const {
    if (values) values[j] = T(b.value);
    if (index) index[j] = b.index;
  }
};
struct ToChunks {
  Best* best;
  __device__ void operator()(int64_t j, const Best& b) const { best[j] = b; }
};

// Rung 1, naive: one thread a result.
template <class T>
__global__ void max_naive(Reduction p, Elements<T> in, Result<T> out) {
  for (int64_t j = thread_index(); j < p.outer * p.inner; j += thread_count()) {
    const int64_t o = divide(j, p.inner);
    Best best{0, -1};
    for (int64_t k = 0; k < p.reduced; ++k)
      best = Better{}(best, in((o * p.reduced + k) * p.inner + (j - o * p.inner), k));
    out(j, best);
  }
}

__device__ Best warp_best(Best b) {
  for (int offset = 16; offset > 0; offset /= 2)
    b = Better{}(b, {__shfl_xor_sync(kFullWarp, b.value, offset), __shfl_xor_sync(kFullWarp, b.index, offset)});
  return b;
}

// Rung 2, split. Rows: a warp a chunk; results are [outer, chunks].
template <class In, class Out>
__global__ void max_rows(Reduction p, int64_t chunk, int64_t chunks, In in, Out out) {
  const int warps = blockDim.x / 32, lane = threadIdx.x % 32;
  const int64_t units = p.outer * chunks;
  for (int64_t unit = int64_t{blockIdx.x} * warps + threadIdx.x / 32; unit < units;
       unit += int64_t{gridDim.x} * warps) {
    const int64_t o = divide(unit, chunks), first = (unit - o * chunks) * chunk;
    const int64_t last = first + chunk < p.reduced ? first + chunk : p.reduced;
    Best best{0, -1};
#pragma unroll 4
    for (int64_t k = first + lane; k < last; k += 32) best = Better{}(best, in(o * p.reduced + k, k));
    best = warp_best(best);
    if (lane == 0) out(unit, best);
  }
}

// Columns: neighbouring threads on neighbouring columns, several rows deep.
template <class T>
__global__ void max_columns(Reduction p, int width, Elements<T> in, Result<T> out) {
  SHARED(float, values, [kReduceThreads]);
  SHARED(int64_t, index, [kReduceThreads]);
  const int lane = threadIdx.x % width, depth = threadIdx.x / width, depths = kReduceThreads / width;
  const int64_t tiles = cdiv(p.inner, int64_t{width});
  for (int64_t unit = blockIdx.x; unit < p.outer * tiles; unit += gridDim.x) {
    const int64_t o = divide(unit, tiles), i = (unit - o * tiles) * width + lane;
    Best best{0, -1};
    if (i < p.inner)
#pragma unroll 4
      for (int64_t k = depth; k < p.reduced; k += depths)
        best = Better{}(best, in((o * p.reduced + k) * p.inner + i, k));
    __syncthreads();  // the previous unit's readers are done
    values[threadIdx.x] = best.value;
    index[threadIdx.x] = best.index;
    for (int half = depths / 2; half > 0; half /= 2) {
      __syncthreads();
      if (depth >= half) continue;
      const int other = threadIdx.x + half * width;
      best = Better{}(best, {values[other], index[other]});
      values[threadIdx.x] = best.value;
      index[threadIdx.x] = best.index;
    }
    if (depth == 0 && i < p.inner) out(o * p.inner + i, best);
  }
}

template <class T>
void run_split(Gpu gpu, Reduction p, Elements<T> in, Result<T> out) {
  if (p.inner > 1) {
    const int width = column_width(p.inner, 1);
    launch<max_columns<T>>(gpu, {blocks_for(p.outer * cdiv(p.inner, int64_t{width})), kReduceThreads}, p, width, in,
                           out);
    return;
  }
  constexpr int64_t kWarps = kReduceThreads / 32, kChunk = 2048;  // 64 elements a lane
  const int64_t chunks = cdiv(p.reduced, kChunk);
  const LaunchShape grid{blocks_for(cdiv(p.outer * chunks, kWarps)), kReduceThreads};
  if (chunks == 1) {
    launch<max_rows<Elements<T>, Result<T>>>(gpu, grid, p, kChunk, chunks, in, out);
    return;
  }
  const Workspace partial(gpu, p.outer * chunks * sizeof(Best));
  Best* best = partial.as<Best>();
  launch<max_rows<Elements<T>, ToChunks>>(gpu, grid, p, kChunk, chunks, in, ToChunks{best});
  launch<max_rows<Chunks, Result<T>>>(gpu, {blocks_for(cdiv(p.outer, kWarps)), kReduceThreads},
                                      Reduction{p.outer, chunks, 1}, chunks, int64_t{1}, Chunks{best}, out);
}

// ---- Backward ----

// Rung 1, naive: one element a thread and turn.
template <class T>
__global__ void backward_naive(Reduction p, int64_t n, const T* dy, const int64_t* index, T* dx) {
  for (int64_t j = thread_index(); j < n; j += thread_count()) {
    const Place at(p, j);
    const int64_t r = at.o * p.inner + at.i;
    dx[j] = at.k == index[r] ? dy[r] : T(0.0f);
  }
}

// Rung 2, vec16: 16 bytes of dx a thread and turn.
template <class T>
__global__ void backward_vec16(Reduction p, int64_t n, const T* dy, const int64_t* index, T* dx) {
  constexpr int N = Vec<T>::size;
  for (int64_t v = thread_index(); v < n / N; v += thread_count()) {
    Place at(p, v * N);
    Vec<T> out;
#pragma unroll
    for (int k = 0; k < N; ++k, at.next(p)) {
      const int64_t r = at.o * p.inner + at.i;
      out[k] = at.k == index[r] ? dy[r] : T(0.0f);
    }
    store16(dx + v * N, out);
  }
  const int64_t j = n / N * N + thread_index();
  if (j >= n) return;
  const Place at(p, j);
  const int64_t r = at.o * p.inner + at.i;
  dx[j] = at.k == index[r] ? dy[r] : T(0.0f);
}

}  // namespace

template <class B, class T>
void max_forward(B gpu, Reduction p, const T* x, T* values, int64_t* index) {
  if (p.outer == 0 || p.inner == 0) return;
  const Elements<T> in{x};
  const Result<T> out{values, index};
  if (max_forward_rungs.pick("split") == 0)
    launch<max_naive<T>>(gpu, grid_over(p.outer * p.inner), p, in, out);
  else
    run_split(gpu, p, in, out);
}

template <class B, class T>
void max_backward(B gpu, Reduction p, const T* dy, const int64_t* index, T* dx) {
  const int64_t n = p.outer * p.reduced * p.inner;
  if (n == 0) return;
  if (max_backward_rungs.pick("vec16") == 1 && aligned16(dx))
    launch<backward_vec16<T>>(gpu, grid_over(cdiv(n, Vec<T>::size)), p, n, dy, index, dx);
  else
    launch<backward_naive<T>>(gpu, grid_over(n), p, n, dy, index, dx);
}

#define INSTANTIATE(T)                                               \
  template void max_forward(Gpu, Reduction, const T*, T*, int64_t*); \
  template void max_backward(Gpu, Reduction, const T*, const int64_t*, T*);
INSTANTIATE(float)
INSTANTIATE(bf16)
INSTANTIATE(f16)
#undef INSTANTIATE

}  // namespace holt
