// Attention's first rung, to be read beside the formulas in attention.h: a thread takes a row and does all of it. Each
// thread reads every key by itself, with neighbours in different rows (32 sectors a request), and keeps its sums in an
// array that is too large for registers.
#pragma once
#include "kernels/attention.h"
#include "kernels/gpu.cuh"

namespace holt::attention_naive {
namespace {  // kernels of the cuda and of the simt object must not be taken for one another

// The first of the row's numbers.
template <class T>
__device__ T* row_of(T* x, const Attention& p, int64_t b, int64_t rows, int64_t i, int64_t h, int64_t pitch) {
  return x + ((b * rows + i) * pitch + h * p.head_size);
}

template <class T>
__device__ float dot(const Attention& p, const T* x, const T* y) {
  float sum = 0;
  for (int d = 0; d < p.head_size; ++d) sum += float(x[d]) * float(y[d]);
  return sum;
}

// y += weight·x
template <class T>
__device__ void add_row(const Attention& p, float weight, const T* x, float* y) {
  for (int d = 0; d < p.head_size; ++d) y[d] += weight * float(x[d]);
}

template <class T>
__device__ void write_row(const Attention& p, float scale, const float* x, T* y) {
  for (int d = 0; d < p.head_size; ++d) y[d] = T(scale * x[d]);
}

// A thread a query: once over the keys for the largest score, once more for the sums.
template <class T>
__global__ void forward_naive(Attention p, const T* q, const T* k, const T* v, T* o, float* lse) {
  const int64_t row = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (row >= p.batch * p.heads * p.queries) return;
  const int64_t i = row % p.queries, h = row / p.queries % p.heads, b = row / (p.queries * p.heads);
  const T* const qi = row_of(q, p, b, p.queries, i, h, p.q_pitch);
  float max = -INFINITY, sum = 0, out[kMaxHeadSize] = {};
  for (int64_t j = 0; j < p.keys; ++j)
    max = fmaxf(max, float(p.scale) * dot(p, qi, row_of(k, p, b, p.keys, j, h, p.kv_pitch)));
  for (int64_t j = 0; j < p.keys; ++j) {
    const float e = expf(float(p.scale) * dot(p, qi, row_of(k, p, b, p.keys, j, h, p.kv_pitch)) - max);
    sum += e;
    add_row(p, e, row_of(v, p, b, p.keys, j, h, p.kv_pitch), out);
  }
  write_row(p, 1 / sum, out, row_of(o, p, b, p.queries, i, h, p.heads * p.head_size));
  lse[row] = max + logf(sum);
}

// p[i,j] and ds[i,j].
struct Weight {
  float p, ds;
};
template <class T>
__device__ Weight weight(const Attention& a, const T* qi, const T* kj, const T* vj, const T* dout, float lse,
                         float delta) {
  const float p = expf(float(a.scale) * dot(a, qi, kj) - lse);
  return {p, p * (dot(a, dout, vj) - delta)};
}

// A thread a query.
template <class T>
__global__ void backward_q_naive(Attention p, const T* dout, const T* q, const T* k, const T* v, const float* lse,
                                 const float* delta, T* dq) {
  const int64_t row = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (row >= p.batch * p.heads * p.queries) return;
  const int64_t i = row % p.queries, h = row / p.queries % p.heads, b = row / (p.queries * p.heads);
  const T* const qi = row_of(q, p, b, p.queries, i, h, p.q_pitch);
  const T* const di = row_of(dout, p, b, p.queries, i, h, p.heads * p.head_size);
  float sum[kMaxHeadSize] = {};
  for (int64_t j = 0; j < p.keys; ++j) {
    const T* const kj = row_of(k, p, b, p.keys, j, h, p.kv_pitch);
    const T* const vj = row_of(v, p, b, p.keys, j, h, p.kv_pitch);
    add_row(p, weight(p, qi, kj, vj, di, lse[row], delta[row]).ds, kj, sum);
  }
  write_row(p, p.scale, sum, row_of(dq, p, b, p.queries, i, h, p.q_pitch));
}

// A thread a key.
template <class T>
__global__ void backward_kv_naive(Attention p, const T* dout, const T* q, const T* k, const T* v, const float* lse,
                                  const float* delta, T* dk, T* dv) {
  const int64_t row = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (row >= p.batch * p.heads * p.keys) return;
  const int64_t j = row % p.keys, h = row / p.keys % p.heads, b = row / (p.keys * p.heads);
  const T* const kj = row_of(k, p, b, p.keys, j, h, p.kv_pitch);
  const T* const vj = row_of(v, p, b, p.keys, j, h, p.kv_pitch);
  float dk_sum[kMaxHeadSize] = {}, dv_sum[kMaxHeadSize] = {};
  for (int64_t i = 0; i < p.queries; ++i) {
    const T* const qi = row_of(q, p, b, p.queries, i, h, p.q_pitch);
    const T* const di = row_of(dout, p, b, p.queries, i, h, p.heads * p.head_size);
    const int64_t at = (b * p.heads + h) * p.queries + i;
    const Weight w = weight(p, qi, kj, vj, di, lse[at], delta[at]);
    add_row(p, w.ds, qi, dk_sum);
    add_row(p, w.p, di, dv_sum);
  }
  if (dk) write_row(p, p.scale, dk_sum, row_of(dk, p, b, p.keys, j, h, p.kv_pitch));
  if (dv) write_row(p, 1, dv_sum, row_of(dv, p, b, p.keys, j, h, p.kv_pitch));
}

}  // namespace
}  // namespace holt::attention_naive
