// Memory-bound: R·C·sizeof(T) bytes forward, 2 backward, about 25 flops an element. [16384, 1000] f32 is 66 MB forward:
// at least 20 µs on an H100 (3.35 TB/s), 65 µs on an RTX 4090 (1.01 TB/s); backward 39 and 130. A batch of 256 images,
// 1 MB, takes less than its launch. warp: a warp a row, four rows a block of 128: a row's sums stay in registers and
// blocks are small enough to even out the end. No shared memory, 30 to 34 registers on sm_90: 75 to 100 % of an H100's
// threads.
#include "kernels/cross_entropy.h"

#include "kernels/losses.cuh"
#include "kernels/vector_math.h"
#include "kernels/vectors.cuh"

namespace holt {
namespace {

constexpr int kThreads = 128;

// Whether a row's label may be used as an index. If not, the row's results are NaN.
__device__ inline bool valid(const CrossEntropy& p, const uint8_t* mask, int64_t label) {
  return label >= 0 && label < p.cols && allowed(mask, label);
}

__device__ inline float not_a_number() { return __int_as_float(0x7fffffff); }

// row_loss of a row whose sums are known.
template <class T>
__device__ float loss_of_row(const CrossEntropy& p, const T* z, int64_t label, const uint8_t* mask, float m, float sum,
                             float shifted, float count) {
  if (!valid(p, mask, label)) return not_a_number();
  const float loss = vmath::log(sum) - float(1 - p.smoothing) * (float(z[label]) - m);
  return p.smoothing == 0 ? loss : loss - float(p.smoothing) / count * shifted;
}

// dz of one logit; each_row = dloss/R, uniform = each_row·s/K.
template <class T>
__device__ T gradient(const CrossEntropy& p, T z, bool is_allowed, bool is_label, float m, float scale, float each_row,
                      float uniform) {
  if (!is_allowed) return T(0.0f);
  const float g = vmath::exp(float(z) - m) * scale - uniform;
  return T(is_label ? g - each_row * float(1 - p.smoothing) : g);
}

// ---- Rung 1, naive: one thread a row. ----

template <class T>
__global__ void forward_naive(CrossEntropy p, const T* logits, const int64_t* labels, const uint8_t* mask,
                              float* row_loss, float* row_max, float* row_sum) {
  const int64_t r = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (r >= p.rows) return;
  const T* z = logits + r * p.cols;
  float m = -INFINITY, sum = 0, shifted = 0, count = 0;
  for (int64_t c = 0; c < p.cols; ++c)
    if (allowed(mask, c)) m = Max{}(m, float(z[c]));
  for (int64_t c = 0; c < p.cols; ++c)
    if (allowed(mask, c)) {
      sum += vmath::exp(float(z[c]) - m);
      shifted += float(z[c]) - m;
      count += 1;
    }
  row_loss[r] = loss_of_row(p, z, labels[r], mask, m, sum, shifted, count);
  row_max[r] = m;
  row_sum[r] = sum;
}

template <class T>
__global__ void backward_naive(CrossEntropy p, const float* dloss, const T* logits, const int64_t* labels,
                               const uint8_t* mask, const float* row_max, const float* row_sum, T* dlogits) {
  const int64_t r = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (r >= p.rows) return;
  float count = 0;
  for (int64_t c = 0; c < p.cols; ++c) count += allowed(mask, c);
  const int64_t label = labels[r];
  const float each_row = valid(p, mask, label) ? *dloss / p.rows : not_a_number();
  const float uniform = p.smoothing == 0 ? 0 : each_row * float(p.smoothing) / count;
  for (int64_t c = 0; c < p.cols; ++c)
    dlogits[r * p.cols + c] = gradient(p, logits[r * p.cols + c], allowed(mask, c), c == label, row_max[r],
                                       each_row / row_sum[r], each_row, uniform);
}

// ---- Rung 2, warp: one warp a row, 16 bytes a lane where rows are aligned (V > 1). ----

// f(first column, V logits) for the lane's share of a row.
template <int V, class T, class F>
__device__ void for_lane(const T* z, int64_t cols, F&& f) {
  for (int64_t c = threadIdx.x % 32 * V; c < cols; c += 32 * V) f(c, load_vec<V>(z + c));
}

template <class T, int V>
__global__ void forward_warp(CrossEntropy p, const T* logits, const int64_t* labels, const uint8_t* mask,
                             float* row_loss, float* row_max, float* row_sum) {
  const int64_t r = int64_t{blockIdx.x} * (blockDim.x / 32) + threadIdx.x / 32;
  if (r >= p.rows) return;  // whole warps leave together: the shuffles below stay legal
  const T* z = logits + r * p.cols;
  float m = -INFINITY, sum = 0, shifted = 0, count = 0;
  for_lane<V>(z, p.cols, [&](int64_t c, const Vec<T, V>& v) {
    for (int i = 0; i < V; ++i)
      if (allowed(mask, c + i)) m = Max{}(m, float(v[i]));
  });
  m = warp_max(m);
  for_lane<V>(z, p.cols, [&](int64_t c, const Vec<T, V>& v) {
    for (int i = 0; i < V; ++i)
      if (allowed(mask, c + i)) {
        sum += vmath::exp(float(v[i]) - m);
        shifted += float(v[i]) - m;
        count += 1;
      }
  });
  sum = warp_sum(sum);
  if (p.smoothing != 0) {
    shifted = warp_sum(shifted);
    count = warp_sum(count);
  }
  if (threadIdx.x % 32 != 0) return;
  row_loss[r] = loss_of_row(p, z, labels[r], mask, m, sum, shifted, count);
  row_max[r] = m;
  row_sum[r] = sum;
}

template <class T, int V>
__global__ void backward_warp(CrossEntropy p, const float* dloss, const T* logits, const int64_t* labels,
                              const uint8_t* mask, const float* row_max, const float* row_sum, T* dlogits) {
  const int64_t r = int64_t{blockIdx.x} * (blockDim.x / 32) + threadIdx.x / 32;
  if (r >= p.rows) return;
  float count = static_cast<float>(p.cols);
  if (mask && p.smoothing != 0) {
    count = 0;
    for (int64_t c = threadIdx.x % 32; c < p.cols; c += 32) count += mask[c] != 0;
    count = warp_sum(count);
  }
  const int64_t label = labels[r];
  const float each_row = valid(p, mask, label) ? *dloss / p.rows : not_a_number();
  const float uniform = p.smoothing == 0 ? 0 : each_row * float(p.smoothing) / count;
  const float m = row_max[r], scale = each_row / row_sum[r];
  for_lane<V>(logits + r * p.cols, p.cols, [&](int64_t c, Vec<T, V> v) {
    for (int i = 0; i < V; ++i)
      v[i] = gradient(p, v[i], allowed(mask, c + i), c + i == label, m, scale, each_row, uniform);
    store_vec(dlogits + r * p.cols + c, v);
  });
}

template <class T>
void run_naive(Gpu gpu, CrossEntropy p, const T* logits, const int64_t* labels, const uint8_t* mask, float* row_loss,
               float* row_max, float* row_sum) {
  launch<forward_naive<T>>(gpu, {cdiv(p.rows, kThreads), kThreads}, p, logits, labels, mask, row_loss, row_max,
                           row_sum);
}

template <class T>
void run_warp(Gpu gpu, CrossEntropy p, const T* logits, const int64_t* labels, const uint8_t* mask, float* row_loss,
              float* row_max, float* row_sum) {
  const LaunchShape shape{cdiv(p.rows, kThreads / 32), kThreads};
  if (rows_aligned16<T>(p.cols, logits))
    launch<forward_warp<T, Vec<T>::size>>(gpu, shape, p, logits, labels, mask, row_loss, row_max, row_sum);
  else
    launch<forward_warp<T, 1>>(gpu, shape, p, logits, labels, mask, row_loss, row_max, row_sum);
}

template <class T>
void run_backward_naive(Gpu gpu, CrossEntropy p, const float* dloss, const T* logits, const int64_t* labels,
                        const uint8_t* mask, const float* row_max, const float* row_sum, T* dlogits) {
  launch<backward_naive<T>>(gpu, {cdiv(p.rows, kThreads), kThreads}, p, dloss, logits, labels, mask, row_max, row_sum,
                            dlogits);
}

template <class T>
void run_backward_warp(Gpu gpu, CrossEntropy p, const float* dloss, const T* logits, const int64_t* labels,
                       const uint8_t* mask, const float* row_max, const float* row_sum, T* dlogits) {
  const LaunchShape shape{cdiv(p.rows, kThreads / 32), kThreads};
  if (rows_aligned16<T>(p.cols, logits, dlogits))
    launch<backward_warp<T, Vec<T>::size>>(gpu, shape, p, dloss, logits, labels, mask, row_max, row_sum, dlogits);
  else
    launch<backward_warp<T, 1>>(gpu, shape, p, dloss, logits, labels, mask, row_max, row_sum, dlogits);
}

}  // namespace

template <class B, class T>
void cross_entropy_forward(B gpu, CrossEntropy p, const T* logits, const int64_t* labels, const uint8_t* mask,
                           acc_t<T>* loss, acc_t<T>* row_loss, acc_t<T>* row_max, acc_t<T>* row_sum) {
  constexpr decltype(&run_naive<T>) rungs[] = {run_naive<T>, run_warp<T>};
  rungs[cross_entropy_forward_rungs.pick("warp")](gpu, p, logits, labels, mask, row_loss, row_max, row_sum);
  launch<mean_of_rows>(gpu, {1, kMeanThreads}, p.rows, row_loss, loss);
}

template <class B, class T>
void cross_entropy_backward(B gpu, CrossEntropy p, const acc_t<T>* dloss, const T* logits, const int64_t* labels,
                            const uint8_t* mask, const acc_t<T>* row_max, const acc_t<T>* row_sum, T* dlogits) {
  constexpr decltype(&run_backward_naive<T>) rungs[] = {run_backward_naive<T>, run_backward_warp<T>};
  rungs[cross_entropy_backward_rungs.pick("warp")](gpu, p, dloss, logits, labels, mask, row_max, row_sum, dlogits);
}

#define INSTANTIATE(T)                                                                                             \
  template void cross_entropy_forward(Gpu, CrossEntropy, const T*, const int64_t*, const uint8_t*, float*, float*, \
                                      float*, float*);                                                             \
  template void cross_entropy_backward(Gpu, CrossEntropy, const float*, const T*, const int64_t*, const uint8_t*,  \
                                       const float*, const float*, T*);
INSTANTIATE(float)
INSTANTIATE(bf16)
INSTANTIATE(f16)
#undef INSTANTIATE

}  // namespace holt
