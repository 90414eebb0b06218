// Memory-bound: 2·R·C·sizeof(T) bytes forward, 3 backward, about 50 flops an element. [16384, 1000] f32 is 131 MB
// forward: at least 39 µs on an H100 (3.35 TB/s), 130 µs on an RTX 4090 (1.01 TB/s); backward 59 and 195. warp: a warp
// a row, four rows a block of 128, as in cross_entropy.cu; no shared memory, 30 to 40 registers on sm_90: 75 to 100 %
// of an H100's threads. The forward walks each row twice (maxima, then sums); the second walk finds 4 KB a row in L1 or
// L2.
#include "kernels/kl_divergence.h"

#include "kernels/losses.cuh"
#include "kernels/vector_math.h"
#include "kernels/vectors.cuh"

namespace holt {
namespace {

constexpr int kThreads = 128;

// The two maxima, then the three sums, of a row or of a lane's share of it.
struct Row {
  float teacher_max = -INFINITY, max = -INFINITY, teacher_sum = 0, sum = 0, dot = 0;

  __device__ void see(float teacher, float logit) {
    teacher_max = Max{}(teacher_max, teacher);
    max = Max{}(max, logit);
  }
  __device__ void add(float scale, float teacher, float logit) {
    const float t = (teacher - teacher_max) * scale, z = (logit - max) * scale, e = vmath::exp(t);
    teacher_sum += e;
    sum += vmath::exp(z);
    if (e != 0) dot += e * (t - z);
  }
  __device__ void write(float* row_loss, float* stats) const {
    *row_loss = dot / teacher_sum - vmath::log(teacher_sum) + vmath::log(sum);
    stats[0] = teacher_max;
    stats[1] = teacher_sum;
    stats[2] = max;
    stats[3] = sum;
  }
};

// dlogit of a class; each = dloss/(R·T).
__device__ inline float gradient(float scale, float each, const float* stats, float teacher, float logit) {
  return each *
         (vmath::exp((logit - stats[2]) * scale) / stats[3] - vmath::exp((teacher - stats[0]) * scale) / stats[1]);
}

// ---- Rung 1, naive: one thread a row. ----

template <class T>
__global__ void forward_naive(KlDivergence p, const T* teacher, const T* logits, const uint8_t* mask, float* row_loss,
                              float* row_stats) {
  const int64_t r = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (r >= p.rows) return;
  teacher += r * p.cols;
  logits += r * p.cols;
  Row row;
  for (int64_t c = 0; c < p.cols; ++c)
    if (allowed(mask, c)) row.see(float(teacher[c]), float(logits[c]));
  for (int64_t c = 0; c < p.cols; ++c)
    if (allowed(mask, c)) row.add(float(p.inverse_temperature), float(teacher[c]), float(logits[c]));
  row.write(row_loss + r, row_stats + 4 * r);
}

template <class T>
__global__ void backward_naive(KlDivergence p, const float* dloss, const T* teacher, const T* logits,
                               const uint8_t* mask, const float* row_stats, T* dlogits) {
  const int64_t r = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (r >= p.rows) return;
  const float scale = float(p.inverse_temperature), each = *dloss * scale / p.rows;
  for (int64_t i = r * p.cols; i < (r + 1) * p.cols; ++i)
    dlogits[i] =
        T(allowed(mask, i - r * p.cols) ? gradient(scale, each, row_stats + 4 * r, float(teacher[i]), float(logits[i]))
                                        : 0.0f);
}

// ---- Rung 2, warp: one warp a row, 16 bytes a lane where rows are aligned (V > 1). ----

template <class T, int V>
__global__ void forward_warp(KlDivergence p, const T* teacher, const T* logits, const uint8_t* mask, float* row_loss,
                             float* row_stats) {
  const int64_t r = int64_t{blockIdx.x} * (blockDim.x / 32) + threadIdx.x / 32;
  if (r >= p.rows) return;  // whole warps leave together: the shuffles below stay legal
  const int64_t first = threadIdx.x % 32 * V;
  const auto scale = static_cast<float>(p.inverse_temperature);
  teacher += r * p.cols;
  logits += r * p.cols;
  Row row;
  for (int64_t c = first; c < p.cols; c += 32 * V) {
    const Vec<T, V> t = load_vec<V>(teacher + c), z = load_vec<V>(logits + c);
    for (int i = 0; i < V; ++i)
      if (allowed(mask, c + i)) row.see(float(t[i]), float(z[i]));
  }
  row.teacher_max = warp_max(row.teacher_max);
  row.max = warp_max(row.max);
  for (int64_t c = first; c < p.cols; c += 32 * V) {  // again, from L1 or L2
    const Vec<T, V> t = load_vec<V>(teacher + c), z = load_vec<V>(logits + c);
    for (int i = 0; i < V; ++i)
      if (allowed(mask, c + i)) row.add(scale, float(t[i]), float(z[i]));
  }
  row.teacher_sum = warp_sum(row.teacher_sum);
  row.sum = warp_sum(row.sum);
  row.dot = warp_sum(row.dot);
  if (threadIdx.x % 32 == 0) row.write(row_loss + r, row_stats + 4 * r);
}

template <class T, int V>
__global__ void backward_warp(KlDivergence p, const float* dloss, const T* teacher, const T* logits,
                              const uint8_t* mask, const float* row_stats, T* dlogits) {
  const int64_t r = int64_t{blockIdx.x} * (blockDim.x / 32) + threadIdx.x / 32;
  if (r >= p.rows) return;
  const float scale = float(p.inverse_temperature), each = *dloss * scale / p.rows;
  const float* stats = row_stats + 4 * r;
  for (int64_t c = threadIdx.x % 32 * V; c < p.cols; c += 32 * V) {
    const int64_t at = r * p.cols + c;
    const Vec<T, V> t = load_vec<V>(teacher + at);
    Vec<T, V> z = load_vec<V>(logits + at);
    for (int i = 0; i < V; ++i)
      z[i] = T(allowed(mask, c + i) ? gradient(scale, each, stats, float(t[i]), float(z[i])) : 0.0f);
    store_vec(dlogits + at, z);
  }
}

template <class T>
void run_naive(Gpu gpu, KlDivergence p, const T* teacher, const T* logits, const uint8_t* mask, float* row_loss,
               float* row_stats) {
  launch<forward_naive<T>>(gpu, {cdiv(p.rows, kThreads), kThreads}, p, teacher, logits, mask, row_loss, row_stats);
}

template <class T>
void run_warp(Gpu gpu, KlDivergence p, const T* teacher, const T* logits, const uint8_t* mask, float* row_loss,
              float* row_stats) {
  const LaunchShape shape{cdiv(p.rows, kThreads / 32), kThreads};
  if (rows_aligned16<T>(p.cols, teacher, logits))
    launch<forward_warp<T, Vec<T>::size>>(gpu, shape, p, teacher, logits, mask, row_loss, row_stats);
  else
    launch<forward_warp<T, 1>>(gpu, shape, p, teacher, logits, mask, row_loss, row_stats);
}

template <class T>
void run_backward_naive(Gpu gpu, KlDivergence p, const float* dloss, const T* teacher, const T* logits,
                        const uint8_t* mask, const float* row_stats, T* dlogits) {
  launch<backward_naive<T>>(gpu, {cdiv(p.rows, kThreads), kThreads}, p, dloss, teacher, logits, mask, row_stats,
                            dlogits);
}

template <class T>
void run_backward_warp(Gpu gpu, KlDivergence p, const float* dloss, const T* teacher, const T* logits,
                       const uint8_t* mask, const float* row_stats, T* dlogits) {
  const LaunchShape shape{cdiv(p.rows, kThreads / 32), kThreads};
  if (rows_aligned16<T>(p.cols, teacher, logits, dlogits))
    launch<backward_warp<T, Vec<T>::size>>(gpu, shape, p, dloss, teacher, logits, mask, row_stats, dlogits);
  else
    launch<backward_warp<T, 1>>(gpu, shape, p, dloss, teacher, logits, mask, row_stats, dlogits);
}

}  // namespace

template <class B, class T>
void kl_divergence_forward(B gpu, KlDivergence p, const T* teacher, const T* logits, const uint8_t* mask,
                           acc_t<T>* loss, acc_t<T>* row_loss, acc_t<T>* row_stats) {
  constexpr decltype(&run_naive<T>) rungs[] = {run_naive<T>, run_warp<T>};
  rungs[kl_divergence_forward_rungs.pick("warp")](gpu, p, teacher, logits, mask, row_loss, row_stats);
  launch<mean_of_rows>(gpu, {1, kMeanThreads}, p.rows, row_loss, loss);
}

template <class B, class T>
void kl_divergence_backward(B gpu, KlDivergence p, const acc_t<T>* dloss, const T* teacher, const T* logits,
                            const uint8_t* mask, const acc_t<T>* row_stats, T* dlogits) {
  constexpr decltype(&run_backward_naive<T>) rungs[] = {run_backward_naive<T>, run_backward_warp<T>};
  rungs[kl_divergence_backward_rungs.pick("warp")](gpu, p, dloss, teacher, logits, mask, row_stats, dlogits);
}

#define INSTANTIATE(T)                                                                                                \
  template void kl_divergence_forward(Gpu, KlDivergence, const T*, const T*, const uint8_t*, float*, float*, float*); \
  template void kl_divergence_backward(Gpu, KlDivergence, const float*, const T*, const T*, const uint8_t*,           \
                                       const float*, T*);
INSTANTIATE(float)
INSTANTIATE(bf16)
INSTANTIATE(f16)
#undef INSTANTIATE

}  // namespace holt
