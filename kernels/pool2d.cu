// Memory-bound: x and y (and index) once. ResNet's 3×3 stride-2 maximum at batch 64, [64, 112, 112, 64] bf16, is 141 MB
// with the index: at least 42 µs on an H100 (3.35 TB/s), 140 µs on an RTX 4090 (1.01 TB/s). A pixel is read up to four
// times, from L1 and L2. vec16: a block takes part of a row of pixels, up to 256 threads with 16 bytes of channels
// each; no shared memory, 38 to 47 registers on sm_90: 62 to 75 % of an H100's threads.
#include "kernels/pool2d.h"

#include "kernels/vectors.cuh"

namespace holt {
namespace {

constexpr int kThreads = 256;

// ---- How threads find their place. Both rungs run the same four bodies below. ----

// A pixel (row `row` of image n, column `column`) and the first of V channels.
struct Place {
  int64_t n;
  int row, column, c;
};

// Rung 1, naive: one thread an element, its place by division of 64-bit numbers, which a GPU has to emulate.
__device__ inline bool place_naive(const Pool2d& p, int height, int width, Place& at) {
  int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i >= p.images * height * width * p.channels) return false;
  at.c = static_cast<int>(i % p.channels);
  i /= p.channels;
  at.column = static_cast<int>(i % width);
  i /= width;
  at.row = static_cast<int>(i % height);
  at.n = i / height;
  return true;
}

// Rung 2, vec16: a block stays within a row of pixels, and a thread takes V channels (16 bytes): neighbours read
// neighbours, and only 32-bit divisions are left.
template <int V>
__device__ bool place_in_row(const Pool2d& p, int height, int width, Place& at) {
  const unsigned vectors = p.channels / V, blocks = cdiv(width * vectors, blockDim.x);
  const unsigned row = blockIdx.x / blocks, j = blockIdx.x % blocks * blockDim.x + threadIdx.x;
  if (j >= width * vectors) return false;
  at.c = static_cast<int>(j % vectors) * V;
  at.column = static_cast<int>(j / vectors);
  at.row = static_cast<int>(row % height);
  at.n = row / height;
  return true;
}

template <int V, bool Naive>
__device__ bool place(const Pool2d& p, int height, int width, Place& at) {
  if constexpr (Naive)
    return place_naive(p, height, width, at);
  else
    return place_in_row<V>(p, height, width, at);
}

template <bool Naive>
LaunchShape shape(const Pool2d& p, int height, int width, int v) {
  if (Naive) return {cdiv(p.images * height * width * p.channels, kThreads), kThreads};
  const int64_t threads = int64_t{width} * (p.channels / v);  // of a row
  const int64_t block = threads < kThreads ? cdiv(threads, 32) * 32 : kThreads;
  return {threads > 0 ? p.images * height * cdiv(threads, block) : 0, block};
}

__device__ inline int64_t in_offset(const Pool2d& p, int64_t n, int h, int w, int c) {
  return ((n * p.height + h) * p.width + w) * p.channels + c;
}
__device__ inline int64_t out_offset(const Pool2d& p, int64_t n, int h, int w, int c) {
  return ((n * p.out_height + h) * p.out_width + w) * p.channels + c;
}

// ---- The bodies ----

// V indices at once where they fit in one access.
template <int V, class I>
__device__ void load_index(const I* p, I (&k)[V]) {
  if constexpr (V * sizeof(I) <= 16) {
    const Vec<I, V> v = *reinterpret_cast<const Vec<I, V>*>(p);
    for (int i = 0; i < V; ++i) k[i] = v[i];
  } else {
    for (int i = 0; i < V; ++i) k[i] = p[i];
  }
}
template <int V, class I>
__device__ void store_index(I* p, const int (&k)[V]) {
  if constexpr (V * sizeof(I) <= 16) {
    Vec<I, V> v;
    for (int i = 0; i < V; ++i) v[i] = static_cast<I>(k[i]);
    *reinterpret_cast<Vec<I, V>*>(p) = v;
  } else {
    for (int i = 0; i < V; ++i) p[i] = static_cast<I>(k[i]);
  }
}

// The index is read and written V at a time, so it has its own alignment.
template <int V, class I>
bool index_aligned(const I* index) {
  return V * sizeof(I) > 16 || reinterpret_cast<uintptr_t>(index) % (V * sizeof(I)) == 0;
}

template <class T, class I, int V, bool Naive>
__global__ void max_forward(Pool2d p, const T* x, T* y, I* index) {
  Place at;
  if (!place<V, Naive>(p, p.out_height, p.out_width, at)) return;
  const PoolRange hs = pool_window(p, at.row, p.height), ws = pool_window(p, at.column, p.width);
  const int top = at.row * p.stride - p.padding, left = at.column * p.stride - p.padding;
  Vec<T, V> best = load_vec<V>(x + in_offset(p, at.n, hs.begin, ws.begin, at.c));
  int where[V];
  for (int i = 0; i < V; ++i) where[i] = (hs.begin - top) * p.kernel + ws.begin - left;
  for (int h = hs.begin; h < hs.end; ++h)
    for (int w = ws.begin; w < ws.end; ++w) {
      const Vec<T, V> v = load_vec<V>(x + in_offset(p, at.n, h, w, at.c));
      for (int i = 0; i < V; ++i) {
        const float a = float(v[i]);
        if (!(a > float(best[i])) && a == a) continue;  // a NaN wins
        best[i] = v[i];
        where[i] = (h - top) * p.kernel + w - left;
      }
    }
  const int64_t out = out_offset(p, at.n, at.row, at.column, at.c);
  store_vec(y + out, best);
  if (index) store_index(index + out, where);
}

template <class T, class I, int V, bool Naive>
__global__ void max_backward(Pool2d p, const T* dy, const I* index, T* dx) {
  Place at;
  if (!place<V, Naive>(p, p.height, p.width, at)) return;
  const PoolRange ohs = pool_windows_over(p, at.row, p.out_height), ows = pool_windows_over(p, at.column, p.out_width);
  float sum[V] = {};
  for (int oh = ohs.begin; oh < ohs.end; ++oh)
    for (int ow = ows.begin; ow < ows.end; ++ow) {
      const int here = (at.row + p.padding - oh * p.stride) * p.kernel + at.column + p.padding - ow * p.stride;
      const int64_t out = out_offset(p, at.n, oh, ow, at.c);
      const Vec<T, V> v = load_vec<V>(dy + out);
      I k[V];
      load_index(index + out, k);
      for (int i = 0; i < V; ++i)
        if (static_cast<int>(k[i]) == here) sum[i] += float(v[i]);
    }
  Vec<T, V> v;
  for (int i = 0; i < V; ++i) v[i] = T(sum[i]);
  store_vec(dx + in_offset(p, at.n, at.row, at.column, at.c), v);
}

template <class T, int V, bool Naive>
__global__ void avg_forward(Pool2d p, const T* x, T* y) {
  Place at;
  if (!place<V, Naive>(p, p.out_height, p.out_width, at)) return;
  const PoolRange hs = pool_window(p, at.row, p.height), ws = pool_window(p, at.column, p.width);
  float sum[V] = {};
  for (int h = hs.begin; h < hs.end; ++h)
    for (int w = ws.begin; w < ws.end; ++w) {
      const Vec<T, V> v = load_vec<V>(x + in_offset(p, at.n, h, w, at.c));
      for (int i = 0; i < V; ++i) sum[i] += float(v[i]);
    }
  Vec<T, V> v;
  for (int i = 0; i < V; ++i) v[i] = T(sum[i] / (p.kernel * p.kernel));
  store_vec(y + out_offset(p, at.n, at.row, at.column, at.c), v);
}

template <class T, int V, bool Naive>
__global__ void avg_backward(Pool2d p, const T* dy, T* dx) {
  Place at;
  if (!place<V, Naive>(p, p.height, p.width, at)) return;
  const PoolRange ohs = pool_windows_over(p, at.row, p.out_height), ows = pool_windows_over(p, at.column, p.out_width);
  float sum[V] = {};
  for (int oh = ohs.begin; oh < ohs.end; ++oh)
    for (int ow = ows.begin; ow < ows.end; ++ow) {
      const Vec<T, V> v = load_vec<V>(dy + out_offset(p, at.n, oh, ow, at.c));
      for (int i = 0; i < V; ++i) sum[i] += float(v[i]);
    }
  Vec<T, V> v;
  for (int i = 0; i < V; ++i) v[i] = T(sum[i] / (p.kernel * p.kernel));
  store_vec(dx + in_offset(p, at.n, at.row, at.column, at.c), v);
}

}  // namespace

template <class B, class T, class I>
void max_pool2d_forward(B gpu, Pool2d p, const T* x, T* y, I* index) {
  constexpr int V = Vec<T>::size;
  if (max_pool2d_forward_rungs.pick("vec16") == 0)
    launch<max_forward<T, I, 1, true>>(gpu, shape<true>(p, p.out_height, p.out_width, 1), p, x, y, index);
  else if (rows_aligned16<T>(p.channels, x, y) && index_aligned<V>(index))
    launch<max_forward<T, I, V, false>>(gpu, shape<false>(p, p.out_height, p.out_width, V), p, x, y, index);
  else
    launch<max_forward<T, I, 1, false>>(gpu, shape<false>(p, p.out_height, p.out_width, 1), p, x, y, index);
}

template <class B, class T, class I>
void max_pool2d_backward(B gpu, Pool2d p, const T* dy, const I* index, T* dx) {
  constexpr int V = Vec<T>::size;
  if (max_pool2d_backward_rungs.pick("vec16") == 0)
    launch<max_backward<T, I, 1, true>>(gpu, shape<true>(p, p.height, p.width, 1), p, dy, index, dx);
  else if (rows_aligned16<T>(p.channels, dy, dx) && index_aligned<V>(index))
    launch<max_backward<T, I, V, false>>(gpu, shape<false>(p, p.height, p.width, V), p, dy, index, dx);
  else
    launch<max_backward<T, I, 1, false>>(gpu, shape<false>(p, p.height, p.width, 1), p, dy, index, dx);
}

template <class B, class T>
void avg_pool2d_forward(B gpu, Pool2d p, const T* x, T* y) {
  constexpr int V = Vec<T>::size;
  if (avg_pool2d_forward_rungs.pick("vec16") == 0)
    launch<avg_forward<T, 1, true>>(gpu, shape<true>(p, p.out_height, p.out_width, 1), p, x, y);
  else if (rows_aligned16<T>(p.channels, x, y))
    launch<avg_forward<T, V, false>>(gpu, shape<false>(p, p.out_height, p.out_width, V), p, x, y);
  else
    launch<avg_forward<T, 1, false>>(gpu, shape<false>(p, p.out_height, p.out_width, 1), p, x, y);
}

template <class B, class T>
void avg_pool2d_backward(B gpu, Pool2d p, const T* dy, T* dx) {
  constexpr int V = Vec<T>::size;
  if (avg_pool2d_backward_rungs.pick("vec16") == 0)
    launch<avg_backward<T, 1, true>>(gpu, shape<true>(p, p.height, p.width, 1), p, dy, dx);
  else if (rows_aligned16<T>(p.channels, dy, dx))
    launch<avg_backward<T, V, false>>(gpu, shape<false>(p, p.height, p.width, V), p, dy, dx);
  else
    launch<avg_backward<T, 1, false>>(gpu, shape<false>(p, p.height, p.width, 1), p, dy, dx);
}

#define INSTANTIATE_MAX(T, I)                                      \
  template void max_pool2d_forward(Gpu, Pool2d, const T*, T*, I*); \
  template void max_pool2d_backward(Gpu, Pool2d, const T*, const I*, T*);
#define INSTANTIATE(T)                                         \
  INSTANTIATE_MAX(T, uint8_t)                                  \
  INSTANTIATE_MAX(T, int32_t)                                  \
  template void avg_pool2d_forward(Gpu, Pool2d, const T*, T*); \
  template void avg_pool2d_backward(Gpu, Pool2d, const T*, T*);
INSTANTIATE(float)
INSTANTIATE(bf16)
INSTANTIATE(f16)
#undef INSTANTIATE
#undef INSTANTIATE_MAX

}  // namespace holt
