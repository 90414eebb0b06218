// Memory-bound: 2·R·C·sizeof(T) bytes forward, 3 backward, about 25 flops an element. [16384, 1000] bf16 is 66 MB: at
// least 20 µs on an H100 (3.35 TB/s), 65 µs on an RTX 4090 (1.01 TB/s); backward 29 and 97. Blocks of 128 threads, a
// warp a row: sums by shuffles, no shared memory, small blocks even out the end. vec16 keeps rows in registers; on
// sm_90 up to 256 floats or 512 16-bit columns 30 to 40 (75 to 100 % of an H100's threads), beyond that 54 forward (56
// %) and 80 to 111 backward (25 to 37 %), where 16 loads of 16 bytes a lane make up for the missing threads. Rows of
// 197 (ViT's attention) are not aligned and take the warp rung: 30 to 32 registers, all threads.
#include "kernels/softmax.h"

#include "kernels/vector_math.h"
#include "kernels/vectors.cuh"

namespace holt {
namespace {

constexpr int kThreads = 128;  // four rows a block, where a warp takes a row

// ---- Forward ----

// Rung 1, naive: one thread a row. Neighbouring threads read addresses cols·sizeof(T) apart: 32 sectors a request.
template <class T>
__global__ void forward_naive(Softmax p, const T* x, T* y) {
  const int64_t r = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (r >= p.rows) return;
  x += r * p.cols;
  y += r * p.cols;
  float m = -INFINITY, sum = 0;
  for (int64_t c = 0; c < p.cols; ++c) m = Max{}(m, float(x[c]));
  for (int64_t c = 0; c < p.cols; ++c) sum += vmath::exp(float(x[c]) - m);
  const float log_sum = vmath::log(sum);
  for (int64_t c = 0; c < p.cols; ++c)
    y[c] = T(p.log ? (float(x[c]) - m) - log_sum : vmath::exp(float(x[c]) - m) / sum);
}

// Rung 2, warp: one warp a row, so lanes read neighbours. Each pass reads the row again, from L1 or L2 after the first.
template <class T>
__global__ void forward_warp(Softmax p, const T* x, T* y) {
  const int64_t r = int64_t{blockIdx.x} * (blockDim.x / 32) + threadIdx.x / 32;
  if (r >= p.rows) return;  // whole warps leave together: the shuffles below stay legal
  const int lane = threadIdx.x % 32;
  x += r * p.cols;
  y += r * p.cols;
  float m = -INFINITY, sum = 0;
  for (int64_t c = lane; c < p.cols; c += 32) m = Max{}(m, float(x[c]));
  m = warp_max(m);
  for (int64_t c = lane; c < p.cols; c += 32) sum += vmath::exp(float(x[c]) - m);
  sum = warp_sum(sum);
  const float log_sum = vmath::log(sum), scale = 1 / sum;
  for (int64_t c = lane; c < p.cols; c += 32)
    y[c] = T(p.log ? (float(x[c]) - m) - log_sum : vmath::exp(float(x[c]) - m) * scale);
}

// Rung 3, vec16: 16 bytes a lane and access, and a row of up to 32·PerLane vectors stays in registers: it is read once.
template <class T, int PerLane>
__global__ void forward_vec16(Softmax p, const T* x, T* y) {
  constexpr int N = Vec<T>::size;
  const int64_t r = int64_t{blockIdx.x} * (blockDim.x / 32) + threadIdx.x / 32;
  if (r >= p.rows) return;
  const int lane = threadIdx.x % 32, vectors = static_cast<int>(p.cols / N);
  x += r * p.cols;
  y += r * p.cols;
  Vec<T> kept[PerLane];
  float m = -INFINITY, sum = 0;
#pragma unroll
  for (int k = 0; k < PerLane; ++k) {
    const int v = lane + 32 * k;
    if (v >= vectors) continue;
    kept[k] = load16(x + v * N);
    for (int i = 0; i < N; ++i) m = Max{}(m, float(kept[k][i]));
  }
  m = warp_max(m);
#pragma unroll
  for (int k = 0; k < PerLane; ++k)
    if (lane + 32 * k < vectors)
      for (int i = 0; i < N; ++i) sum += vmath::exp(float(kept[k][i]) - m);
  sum = warp_sum(sum);
  const float log_sum = vmath::log(sum), scale = 1 / sum;
#pragma unroll
  for (int k = 0; k < PerLane; ++k) {
    const int v = lane + 32 * k;
    if (v >= vectors) continue;
    for (int i = 0; i < N; ++i) {
      const float d = float(kept[k][i]) - m;
      kept[k][i] = T(p.log ? d - log_sum : vmath::exp(d) * scale);
    }
    store16(y + v * N, kept[k]);
  }
}

template <class T>
void run_naive(Gpu gpu, Softmax p, const T* x, T* y) {
  launch<forward_naive<T>>(gpu, {cdiv(p.rows, kThreads), kThreads}, p, x, y);
}

template <class T>
void run_warp(Gpu gpu, Softmax p, const T* x, T* y) {
  launch<forward_warp<T>>(gpu, {cdiv(p.rows, kThreads / 32), kThreads}, p, x, y);
}

// How many vectors a lane would hold if a warp takes a row; up to 8 fit in registers: 1024 columns of float, 2048 of a
// 16-bit type. Longer or unaligned rows take rung 2.
template <class T>
int64_t vectors_per_lane(const Softmax& p) {
  return cdiv(p.cols, 32 * Vec<T>::size);
}

template <class T>
void run_vec16(Gpu gpu, Softmax p, const T* x, T* y) {
  const int64_t per_lane = vectors_per_lane<T>(p);
  if (!rows_aligned16<T>(p.cols, x, y) || per_lane > 8) return run_warp(gpu, p, x, y);
  const LaunchShape shape{cdiv(p.rows, kThreads / 32), kThreads};
  if (per_lane <= 2)
    launch<forward_vec16<T, 2>>(gpu, shape, p, x, y);
  else
    launch<forward_vec16<T, 8>>(gpu, shape, p, x, y);
}

// ---- Backward ----

// What a column adds to the row's sum, and what the sum then makes of it.
__device__ inline float term(bool log, float dy, float y) { return log ? dy : dy * y; }
__device__ inline float slope(bool log, float dy, float y, float sum) {
  return log ? dy - vmath::exp(y) * sum : y * (dy - sum);
}

// Rung 1, naive: one thread a row.
template <class T>
__global__ void backward_naive(Softmax p, const T* dy, const T* y, T* dx) {
  const int64_t r = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (r >= p.rows) return;
  const int64_t first = r * p.cols, last = first + p.cols;
  float sum = 0;
  for (int64_t i = first; i < last; ++i) sum += term(p.log, float(dy[i]), float(y[i]));
  for (int64_t i = first; i < last; ++i) dx[i] = T(slope(p.log, float(dy[i]), float(y[i]), sum));
}

// Rung 2, warp: one warp a row.
template <class T>
__global__ void backward_warp(Softmax p, const T* dy, const T* y, T* dx) {
  const int64_t r = int64_t{blockIdx.x} * (blockDim.x / 32) + threadIdx.x / 32;
  if (r >= p.rows) return;
  const int64_t first = r * p.cols + threadIdx.x % 32, last = (r + 1) * p.cols;
  float sum = 0;
  for (int64_t i = first; i < last; i += 32) sum += term(p.log, float(dy[i]), float(y[i]));
  sum = warp_sum(sum);
  for (int64_t i = first; i < last; i += 32) dx[i] = T(slope(p.log, float(dy[i]), float(y[i]), sum));
}

// Rung 3, vec16: both rows stay in registers.
template <class T, int PerLane>
__global__ void backward_vec16(Softmax p, const T* dy, const T* y, T* dx) {
  constexpr int N = Vec<T>::size;
  const int64_t r = int64_t{blockIdx.x} * (blockDim.x / 32) + threadIdx.x / 32;
  if (r >= p.rows) return;
  const int lane = threadIdx.x % 32, vectors = static_cast<int>(p.cols / N);
  const int64_t row = r * p.cols;
  Vec<T> dyv[PerLane], yv[PerLane];
  float sum = 0;
#pragma unroll
  for (int k = 0; k < PerLane; ++k) {
    const int v = lane + 32 * k;
    if (v >= vectors) continue;
    dyv[k] = load16(dy + row + v * N);
    yv[k] = load16(y + row + v * N);
    for (int i = 0; i < N; ++i) sum += term(p.log, float(dyv[k][i]), float(yv[k][i]));
  }
  sum = warp_sum(sum);
#pragma unroll
  for (int k = 0; k < PerLane; ++k) {
    const int v = lane + 32 * k;
    if (v >= vectors) continue;
    for (int i = 0; i < N; ++i) dyv[k][i] = T(slope(p.log, float(dyv[k][i]), float(yv[k][i]), sum));
    store16(dx + row + v * N, dyv[k]);
  }
}

template <class T>
void run_backward_naive(Gpu gpu, Softmax p, const T* dy, const T* y, T* dx) {
  launch<backward_naive<T>>(gpu, {cdiv(p.rows, kThreads), kThreads}, p, dy, y, dx);
}

template <class T>
void run_backward_warp(Gpu gpu, Softmax p, const T* dy, const T* y, T* dx) {
  launch<backward_warp<T>>(gpu, {cdiv(p.rows, kThreads / 32), kThreads}, p, dy, y, dx);
}

template <class T>
void run_backward_vec16(Gpu gpu, Softmax p, const T* dy, const T* y, T* dx) {
  const int64_t per_lane = vectors_per_lane<T>(p);
  if (!rows_aligned16<T>(p.cols, dy, y, dx) || per_lane > 8) return run_backward_warp(gpu, p, dy, y, dx);
  const LaunchShape shape{cdiv(p.rows, kThreads / 32), kThreads};
  if (per_lane <= 2)
    launch<backward_vec16<T, 2>>(gpu, shape, p, dy, y, dx);
  else
    launch<backward_vec16<T, 8>>(gpu, shape, p, dy, y, dx);
}

}  // namespace

template <class B, class T>
void softmax_forward(B gpu, Softmax p, const T* x, T* y) {
  constexpr decltype(&run_naive<T>) rungs[] = {run_naive<T>, run_warp<T>, run_vec16<T>};
  rungs[softmax_forward_rungs.pick("vec16")](gpu, p, x, y);
}

template <class B, class T>
void softmax_backward(B gpu, Softmax p, const T* dy, const T* y, T* dx) {
  constexpr decltype(&run_backward_naive<T>) rungs[] = {run_backward_naive<T>, run_backward_warp<T>,
                                                        run_backward_vec16<T>};
  rungs[softmax_backward_rungs.pick("vec16")](gpu, p, dy, y, dx);
}

#define INSTANTIATE(T)                                       \
  template void softmax_forward(Gpu, Softmax, const T*, T*); \
  template void softmax_backward(Gpu, Softmax, const T*, const T*, T*);
INSTANTIATE(float)
INSTANTIATE(bf16)
INSTANTIATE(f16)
#undef INSTANTIATE

}  // namespace holt
