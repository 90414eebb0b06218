// Memory-bound: N·P·C·sizeof(T) bytes each way, one flop an element. ResNet-50's last stage at batch 64, [64, 49, 2048]
// bf16, is 12.8 MB: at least 3.8 µs on an H100 (3.35 TB/s), 12.7 µs on an RTX 4090 (1.01 TB/s): near to what a launch
// takes. Forward: 256 threads, warps on different pixels of the same 32·V channels, whose sums meet in 1 to 8 KB of
// shared memory: N·C/V/32 blocks (512 here), where a thread an output would leave most of the GPU idle. 32 to 36
// registers on sm_90: 75 to 100 % of the threads. Backward: 18 to 24 registers, all threads.
#include "kernels/global_avg_pool.h"

#include "kernels/vectors.cuh"

namespace holt {
namespace {

constexpr int kThreads = 256;

// ---- Forward ----

// Rung 1, naive: one thread an output, which walks all pixels. Coalesced, but N·C threads are few.
template <class T>
__global__ void forward_naive(GlobalAvgPool p, const T* x, T* y) {
  const int64_t o = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (o >= p.images * p.channels) return;
  const T* first = x + o / p.channels * p.pixels * p.channels + o % p.channels;
  float sum = 0;
  for (int64_t i = 0; i < p.pixels; ++i) sum += float(first[i * p.channels]);
  y[o] = T(sum / p.pixels);
}

// Rung 2, block: a block takes 32·V channels of an image, a warp every eighth pixel of them. V > 1 is rung 3, vec16:
// 16 bytes a lane.
template <class T, int V>
__global__ void forward_block(GlobalAvgPool p, int64_t tiles, const T* x, T* y) {
  constexpr int kWarps = kThreads / 32;
  SHARED(float, part, [kWarps][V][32]);
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int64_t n = blockIdx.x / tiles, c = (blockIdx.x % tiles * 32 + lane) * V;
  float sum[V] = {};
  if (c < p.channels)
    for (int64_t i = warp; i < p.pixels; i += kWarps) {
      const Vec<T, V> v = load_vec<V>(x + (n * p.pixels + i) * p.channels + c);
      for (int k = 0; k < V; ++k) sum[k] += float(v[k]);
    }
  for (int k = 0; k < V; ++k) part[warp][k][lane] = sum[k];
  __syncthreads();
  if (warp != 0 || c >= p.channels) return;
  Vec<T, V> mean;
  for (int k = 0; k < V; ++k) {
    for (int w = 1; w < kWarps; ++w) sum[k] += part[w][k][lane];
    mean[k] = T(sum[k] / p.pixels);
  }
  store_vec(y + n * p.channels + c, mean);
}

template <class T>
void run_naive(Gpu gpu, GlobalAvgPool p, const T* x, T* y) {
  launch<forward_naive<T>>(gpu, {cdiv(p.images * p.channels, kThreads), kThreads}, p, x, y);
}

template <class T, int V>
void run_block(Gpu gpu, GlobalAvgPool p, const T* x, T* y) {
  const int64_t tiles = cdiv(p.channels, 32 * V);
  launch<forward_block<T, V>>(gpu, {p.images * tiles, kThreads}, p, tiles, x, y);
}

template <class T>
void run_vec16(Gpu gpu, GlobalAvgPool p, const T* x, T* y) {
  if (rows_aligned16<T>(p.channels, x, y))
    run_block<T, Vec<T>::size>(gpu, p, x, y);
  else
    run_block<T, 1>(gpu, p, x, y);
}

// ---- Backward ----

// One thread for V neighbouring channels of a pixel: V = 1 is rung 1, naive.
template <class T, int V>
__global__ void backward_pixel(GlobalAvgPool p, const T* dy, T* dx) {
  const int64_t i = (int64_t{blockIdx.x} * blockDim.x + threadIdx.x) * V;
  if (i >= p.images * p.pixels * p.channels) return;
  const int64_t n = i / (p.pixels * p.channels), c = i % p.channels;
  Vec<T, V> v = load_vec<V>(dy + n * p.channels + c);
  for (int k = 0; k < V; ++k) v[k] = T(float(v[k]) / p.pixels);
  store_vec(dx + i, v);
}

template <class T, int V>
void run_backward_pixel(Gpu gpu, GlobalAvgPool p, const T* dy, T* dx) {
  launch<backward_pixel<T, V>>(gpu, {cdiv(p.images * p.pixels * p.channels, kThreads * V), kThreads}, p, dy, dx);
}

template <class T>
void run_backward_vec16(Gpu gpu, GlobalAvgPool p, const T* dy, T* dx) {
  if (rows_aligned16<T>(p.channels, dy, dx))
    run_backward_pixel<T, Vec<T>::size>(gpu, p, dy, dx);
  else
    run_backward_pixel<T, 1>(gpu, p, dy, dx);
}

}  // namespace

template <class B, class T>
void global_avg_pool_forward(B gpu, GlobalAvgPool p, const T* x, T* y) {
  constexpr decltype(&run_naive<T>) rungs[] = {run_naive<T>, run_block<T, 1>, run_vec16<T>};
  rungs[global_avg_pool_forward_rungs.pick("vec16")](gpu, p, x, y);
}

template <class B, class T>
void global_avg_pool_backward(B gpu, GlobalAvgPool p, const T* dy, T* dx) {
  constexpr decltype(&run_backward_vec16<T>) rungs[] = {run_backward_pixel<T, 1>, run_backward_vec16<T>};
  rungs[global_avg_pool_backward_rungs.pick("vec16")](gpu, p, dy, dx);
}

#define INSTANTIATE(T)                                                     \
  template void global_avg_pool_forward(Gpu, GlobalAvgPool, const T*, T*); \
  template void global_avg_pool_backward(Gpu, GlobalAvgPool, const T*, T*);
INSTANTIATE(float)
INSTANTIATE(bf16)
INSTANTIATE(f16)
#undef INSTANTIATE

}  // namespace holt
