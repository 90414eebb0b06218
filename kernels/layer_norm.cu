// Memory-bound: 2·R·C·sizeof(T) bytes forward for 8 flops an element. ViT-B at batch 64, [12608, 768] bf16, is 39 MB:
// at least 12 µs on an H100 (3.35 TB/s), 38 µs on an RTX 4090 (1.01 TB/s). The backward's compulsory 58 MB (17 and 58
// µs) become 97 MB (29 and 96), because dx and the sums over rows for dw and db each read dy and x. Blocks of 128
// threads, a warp a row: sums by shuffles, no shared memory, and small blocks even out the end. vec16 keeps a row in
// registers: 34 to 40 on sm_90 up to 384 floats or 768 16-bit columns (75 % of an H100's threads), 56 to 60 up to 1024
// and 2048 (50 %); with 3 to 8 16-byte loads a lane that is 74 KB and more under way a multiprocessor where 18 would
// do. docs/kernels.md walks through the rungs.
#include "kernels/layer_norm.h"

#include "kernels/gpu.cuh"

namespace holt {
namespace {

constexpr int kThreads = 128;  // four rows a block, where a warp takes a row

// ---- Forward ----

// Rung 1, naive: one thread a row. Neighbouring threads read addresses cols·sizeof(T) apart: 32 sectors a request.
template <class T>
__global__ void forward_naive(LayerNorm p, const T* x, const T* residual, const float* w, const float* b, T* total,
                              T* y, float* mean, float* rstd) {
  const int64_t r = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (r >= p.rows) return;
  if (residual) {
    for (int64_t c = r * p.cols; c < (r + 1) * p.cols; ++c) total[c] = T(float(x[c]) + float(residual[c]));
    x = total;
  }
  float sum = 0, squares = 0;
  for (int64_t c = 0; c < p.cols; ++c) sum += float(x[r * p.cols + c]);
  const float m = sum / p.cols;
  for (int64_t c = 0; c < p.cols; ++c) {
    const float d = float(x[r * p.cols + c]) - m;
    squares += d * d;
  }
  const float s = rsqrtf(squares / p.cols + float(p.eps));
  for (int64_t c = 0; c < p.cols; ++c) y[r * p.cols + c] = T((float(x[r * p.cols + c]) - m) * s * w[c] + b[c]);
  mean[r] = m;
  rstd[r] = s;
}

// Rung 2, warp: one warp a row, so lanes read neighbours and the sums never leave the registers. Each pass reads the
// row again, from L1 or L2 after the first.
template <class T>
__global__ void forward_warp(LayerNorm p, const T* x, const T* residual, const float* w, const float* b, T* total, T* y,
                             float* mean, float* rstd) {
  const int64_t r = int64_t{blockIdx.x} * (blockDim.x / 32) + threadIdx.x / 32;
  if (r >= p.rows) return;  // whole warps leave together: the shuffles below stay legal
  const int lane = threadIdx.x % 32;
  x += r * p.cols;
  y += r * p.cols;
  if (residual) {  // each lane reads again only what it wrote itself
    residual += r * p.cols;
    total += r * p.cols;
    for (int64_t c = lane; c < p.cols; c += 32) total[c] = T(float(x[c]) + float(residual[c]));
    x = total;
  }
  float sum = 0, squares = 0;
  for (int64_t c = lane; c < p.cols; c += 32) sum += float(x[c]);
  const float m = warp_sum(sum) / p.cols;
  for (int64_t c = lane; c < p.cols; c += 32) {
    const float d = float(x[c]) - m;
    squares += d * d;
  }
  const float s = rsqrtf(warp_sum(squares) / p.cols + float(p.eps));
  for (int64_t c = lane; c < p.cols; c += 32) y[c] = T((float(x[c]) - m) * s * w[c] + b[c]);
  if (lane == 0) {
    mean[r] = m;
    rstd[r] = s;
  }
}

// Rung 3, vec16: 16 bytes a lane and access, and a row of up to 32·PerLane vectors stays in registers: it is read once,
// which is all that the op must move. Needs 16-byte alignment of every row.
template <class T, int PerLane>
__global__ void forward_vec16(LayerNorm p, const T* x, const T* residual, const float* w, const float* b, T* total,
                              T* y, float* mean, float* rstd) {
  constexpr int N = Vec<T>::size;
  const int64_t r = int64_t{blockIdx.x} * (blockDim.x / 32) + threadIdx.x / 32;
  if (r >= p.rows) return;
  const int lane = threadIdx.x % 32, vectors = static_cast<int>(p.cols / N);
  x += r * p.cols;
  y += r * p.cols;
  Vec<T> kept[PerLane];
  float sum = 0, squares = 0;
#pragma unroll
  for (int k = 0; k < PerLane; ++k) {
    const int v = lane + 32 * k;
    if (v >= vectors) continue;
    kept[k] = load16(x + v * N);
    if (residual) {
      const Vec<T> add = load16(residual + r * p.cols + v * N);
      for (int i = 0; i < N; ++i) kept[k][i] = T(float(kept[k][i]) + float(add[i]));
      store16(total + r * p.cols + v * N, kept[k]);
    }
    for (int i = 0; i < N; ++i) sum += float(kept[k][i]);
  }
  const float m = warp_sum(sum) / p.cols;
#pragma unroll
  for (int k = 0; k < PerLane; ++k) {
    if (lane + 32 * k >= vectors) continue;
    for (int i = 0; i < N; ++i) {
      const float d = float(kept[k][i]) - m;
      squares += d * d;
    }
  }
  const float s = rsqrtf(warp_sum(squares) / p.cols + float(p.eps));
#pragma unroll
  for (int k = 0; k < PerLane; ++k) {
    const int v = lane + 32 * k;
    if (v >= vectors) continue;
#pragma unroll
    for (int i = 0; i < N; i += 4) {
      const Vec<float> wv = load16(w + v * N + i), bv = load16(b + v * N + i);
      for (int j = 0; j < 4; ++j) kept[k][i + j] = T((float(kept[k][i + j]) - m) * s * wv[j] + bv[j]);
    }
    store16(y + v * N, kept[k]);
  }
  if (lane == 0) {
    mean[r] = m;
    rstd[r] = s;
  }
}

template <class T>
void run_naive(Gpu gpu, LayerNorm p, const T* x, const T* residual, const float* w, const float* b, T* total, T* y,
               float* mean, float* rstd) {
  launch<forward_naive<T>>(gpu, {cdiv(p.rows, kThreads), kThreads}, p, x, residual, w, b, total, y, mean, rstd);
}

template <class T>
void run_warp(Gpu gpu, LayerNorm p, const T* x, const T* residual, const float* w, const float* b, T* total, T* y,
              float* mean, float* rstd) {
  launch<forward_warp<T>>(gpu, {cdiv(p.rows, kThreads / 32), kThreads}, p, x, residual, w, b, total, y, mean, rstd);
}

template <class T>
void run_vec16(Gpu gpu, LayerNorm p, const T* x, const T* residual, const float* w, const float* b, T* total, T* y,
               float* mean, float* rstd) {
  constexpr int N = Vec<T>::size;
  // Up to 8 vectors a lane fit in registers: 1024 columns of float, 2048 of a 16-bit type (ViT-H has 1280, ViT-B 768).
  // Longer or unaligned rows take rung 2.
  const bool fits = p.cols % N == 0 && p.cols <= 32 * 8 * N && aligned16(x) && aligned16(residual) && aligned16(w) &&
                    aligned16(b) && aligned16(total) && aligned16(y);
  if (!fits) return run_warp(gpu, p, x, residual, w, b, total, y, mean, rstd);
  const LaunchShape shape{cdiv(p.rows, kThreads / 32), kThreads};
  if (p.cols <= 32 * 3 * N)
    launch<forward_vec16<T, 3>>(gpu, shape, p, x, residual, w, b, total, y, mean, rstd);
  else
    launch<forward_vec16<T, 8>>(gpu, shape, p, x, residual, w, b, total, y, mean, rstd);
}

// ---- Backward ----

// Rung 1, naive: one thread a row for dx; one thread a column for dw and db, which walks all rows.
template <class T>
__global__ void backward_dx_naive(LayerNorm p, const T* dy, const T* x, const float* w, const float* mean,
                                  const float* rstd, const T* dsum, T* dx) {
  const int64_t r = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (r >= p.rows) return;
  float g_sum = 0, gx_sum = 0;
  for (int64_t c = 0; c < p.cols; ++c) {
    const float g = float(dy[r * p.cols + c]) * w[c];
    g_sum += g;
    gx_sum += g * (float(x[r * p.cols + c]) - mean[r]) * rstd[r];
  }
  for (int64_t c = 0; c < p.cols; ++c) {
    const float g = float(dy[r * p.cols + c]) * w[c], xhat = (float(x[r * p.cols + c]) - mean[r]) * rstd[r];
    const float other = dsum ? float(dsum[r * p.cols + c]) : 0.0f;
    dx[r * p.cols + c] = T(rstd[r] * (g - g_sum / p.cols - xhat * gx_sum / p.cols) + other);
  }
}

template <class T>
__global__ void backward_dw_naive(LayerNorm p, const T* dy, const T* x, const float* mean, const float* rstd, float* dw,
                                  float* db) {
  const int64_t c = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (c >= p.cols) return;
  float dw_sum = 0, db_sum = 0;
  for (int64_t r = 0; r < p.rows; ++r) {
    dw_sum += float(dy[r * p.cols + c]) * (float(x[r * p.cols + c]) - mean[r]) * rstd[r];
    db_sum += float(dy[r * p.cols + c]);
  }
  if (dw) dw[c] = dw_sum;
  if (db) db[c] = db_sum;
}

// Rung 2, warp: a warp a row for dx.
template <class T>
__global__ void backward_dx_warp(LayerNorm p, const T* dy, const T* x, const float* w, const float* mean,
                                 const float* rstd, const T* dsum, T* dx) {
  const int64_t r = int64_t{blockIdx.x} * (blockDim.x / 32) + threadIdx.x / 32;
  if (r >= p.rows) return;
  const int lane = threadIdx.x % 32;
  dy += r * p.cols;
  x += r * p.cols;
  dx += r * p.cols;
  if (dsum) dsum += r * p.cols;
  const float m = mean[r], s = rstd[r];
  float g_sum = 0, gx_sum = 0;
  for (int64_t c = lane; c < p.cols; c += 32) {
    const float g = float(dy[c]) * w[c];
    g_sum += g;
    gx_sum += g * (float(x[c]) - m) * s;
  }
  const float g_mean = warp_sum(g_sum) / p.cols, gx_mean = warp_sum(gx_sum) / p.cols;
  for (int64_t c = lane; c < p.cols; c += 32)
    dx[c] = T(s * (float(dy[c]) * w[c] - g_mean - (float(x[c]) - m) * s * gx_mean) + (dsum ? float(dsum[c]) : 0.0f));
}

// … and for dw, db: a block sums kRows rows of 32 columns, 8 rows at a time (lanes on neighbouring columns, so every
// request is whole sectors), and writes its partial sum; a second kernel adds the partial sums in order. No atomics:
// the same bits every time.
constexpr int kRows = 256, kRowLanes = 8;

template <class T>
__global__ void backward_dw_partial(LayerNorm p, const T* dy, const T* x, const float* mean, const float* rstd,
                                    float* partial) {
  SHARED(float, dw_part, [kRowLanes][32]);
  SHARED(float, db_part, [kRowLanes][32]);
  const int lane = threadIdx.x % 32, row_lane = threadIdx.x / 32;
  const int64_t c = int64_t{blockIdx.x} * 32 + lane, first = int64_t{blockIdx.y} * kRows;
  const int64_t last = first + kRows < p.rows ? first + kRows : p.rows;
  float dw_sum = 0, db_sum = 0;
  if (c < p.cols)
    for (int64_t r = first + row_lane; r < last; r += kRowLanes) {
      const float g = float(dy[r * p.cols + c]);
      dw_sum += g * (float(x[r * p.cols + c]) - mean[r]) * rstd[r];
      db_sum += g;
    }
  dw_part[row_lane][lane] = dw_sum;
  db_part[row_lane][lane] = db_sum;
  __syncthreads();
  if (row_lane != 0 || c >= p.cols) return;
  for (int k = 1; k < kRowLanes; ++k) {
    dw_sum += dw_part[k][lane];
    db_sum += db_part[k][lane];
  }
  partial[(2 * int64_t{blockIdx.y} + 0) * p.cols + c] = dw_sum;
  partial[(2 * int64_t{blockIdx.y} + 1) * p.cols + c] = db_sum;
}

template <class T>
__global__ void backward_dw_total(LayerNorm p, int parts, const float* partial, float* dw, float* db) {
  const int64_t c = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (c >= p.cols) return;
  float dw_sum = 0, db_sum = 0;
  for (int k = 0; k < parts; ++k) {
    dw_sum += partial[(2 * int64_t{k} + 0) * p.cols + c];
    db_sum += partial[(2 * int64_t{k} + 1) * p.cols + c];
  }
  if (dw) dw[c] = dw_sum;
  if (db) db[c] = db_sum;
}

template <class T>
void run_backward_naive(Gpu gpu, LayerNorm p, const T* dy, const T* x, const float* w, const float* mean,
                        const float* rstd, const T* dsum, T* dx, float* dw, float* db) {
  if (dx) launch<backward_dx_naive<T>>(gpu, {cdiv(p.rows, kThreads), kThreads}, p, dy, x, w, mean, rstd, dsum, dx);
  if (dw || db) launch<backward_dw_naive<T>>(gpu, {cdiv(p.cols, kThreads), kThreads}, p, dy, x, mean, rstd, dw, db);
}

template <class T>
void run_backward_warp(Gpu gpu, LayerNorm p, const T* dy, const T* x, const float* w, const float* mean,
                       const float* rstd, const T* dsum, T* dx, float* dw, float* db) {
  if (dx) launch<backward_dx_warp<T>>(gpu, {cdiv(p.rows, kThreads / 32), kThreads}, p, dy, x, w, mean, rstd, dsum, dx);
  if (!dw && !db) return;
  const int64_t parts = cdiv(p.rows, kRows);
  const Workspace partial(gpu, 2 * parts * p.cols * sizeof(float));
  launch<backward_dw_partial<T>>(gpu, {dim3(cdiv(p.cols, 32), parts), 32 * kRowLanes}, p, dy, x, mean, rstd,
                                 partial.as<float>());
  launch<backward_dw_total<T>>(gpu, {cdiv(p.cols, kThreads), kThreads}, p, static_cast<int>(parts), partial.as<float>(),
                               dw, db);
}

}  // namespace

template <class B, class T>
void layer_norm_forward(B gpu, LayerNorm p, const T* x, const T* residual, const acc_t<T>* w, const acc_t<T>* b, T* sum,
                        T* y, acc_t<T>* mean, acc_t<T>* rstd) {
  constexpr decltype(&run_naive<T>) rungs[] = {run_naive<T>, run_warp<T>, run_vec16<T>};
  rungs[layer_norm_forward_rungs.pick("vec16")](gpu, p, x, residual, w, b, sum, y, mean, rstd);
}

template <class B, class T>
void layer_norm_backward(B gpu, LayerNorm p, const T* dy, const T* x, const acc_t<T>* w, const acc_t<T>* mean,
                         const acc_t<T>* rstd, const T* dsum, T* dx, acc_t<T>* dw, acc_t<T>* db) {
  constexpr decltype(&run_backward_naive<T>) rungs[] = {run_backward_naive<T>, run_backward_warp<T>};
  rungs[layer_norm_backward_rungs.pick("warp")](gpu, p, dy, x, w, mean, rstd, dsum, dx, dw, db);
}

#define INSTANTIATE(T)                                                                                             \
  template void layer_norm_forward(Gpu, LayerNorm, const T*, const T*, const float*, const float*, T*, T*, float*, \
                                   float*);                                                                        \
  template void layer_norm_backward(Gpu, LayerNorm, const T*, const T*, const float*, const float*, const float*,  \
                                    const T*, T*, float*, float*);
INSTANTIATE(float)
INSTANTIATE(bf16)
INSTANTIATE(f16)
#undef INSTANTIATE

}  // namespace holt
