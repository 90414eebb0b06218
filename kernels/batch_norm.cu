// The forward. Its backward is batch_norm_backward.cu.
//
// Memory-bound: 3·R·C·sizeof(T) bytes in training (x twice, y), 9 flops an element. ResNet-50's first stage at batch
// 64, [200704, 256] bf16, is 308 MB: at least 92 µs on an H100 (3.35 TB/s), 305 µs on an RTX 4090 (1.01 TB/s).
// moments_of_parts: 256 threads as channel_tile.cuh says, 8 channels a thread (16 bytes), four rows in flight: 69 to 93
// registers and 9 to 17 KB of shared memory on sm_90, so 25 to 37 % of an H100's threads; with four 16-byte loads each
// that is 32 KB under way a multiprocessor, more than the 18 that its memory asks for. normalize: 40 to 46 registers,
// 62 to 75 %.
#include "kernels/batch_norm.h"

#include "kernels/channel_tile.cuh"

namespace holt {
namespace {

constexpr int kMaxParts = 256;

// What the batch's mean and Σ (x − mean)² make of a channel.
__device__ inline void finish_channel(const BatchNorm& p, int64_t c, float m, float m2, float* running_mean,
                                      float* running_var, float* mean, float* rstd) {
  mean[c] = m;
  rstd[c] = rsqrtf(m2 / p.rows + float(p.eps));
  running_mean[c] = float(1 - p.momentum) * running_mean[c] + float(p.momentum) * m;
  running_var[c] = float(1 - p.momentum) * running_var[c] + float(p.momentum) * m2 / (p.rows - 1);
}

__device__ inline float normalized(const BatchNorm& p, float x, float mean, float scale, float shift, float residual) {
  const float v = (x - mean) * scale + shift + residual;
  return p.relu && v < 0 ? 0 : v;  // a NaN stays one
}

// Frozen: the running statistics are those in use.
__global__ void take_running(BatchNorm p, const float* running_mean, const float* running_var, float* mean,
                             float* rstd) {
  const int64_t c = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (c >= p.channels) return;
  mean[c] = running_mean[c];
  rstd[c] = rsqrtf(running_var[c] + float(p.eps));
}

// ---- Rung 1, naive: one thread a channel, three walks down its column. Coalesced, but C threads cannot fill a GPU.
// ----

template <class T>
__global__ void forward_naive(BatchNorm p, const T* x, const float* w, const float* b, const T* residual,
                              float* running_mean, float* running_var, T* y, float* mean, float* rstd) {
  const int64_t c = int64_t{blockIdx.x} * blockDim.x + threadIdx.x, C = p.channels;
  if (c >= C) return;
  if (p.training) {
    float sum = 0, m2 = 0;
    for (int64_t r = 0; r < p.rows; ++r) sum += float(x[r * C + c]);
    const float m = sum / p.rows;
    for (int64_t r = 0; r < p.rows; ++r) m2 += (float(x[r * C + c]) - m) * (float(x[r * C + c]) - m);
    finish_channel(p, c, m, m2, running_mean, running_var, mean, rstd);
  }
  for (int64_t i = c; i < p.rows * C; i += C)
    y[i] = T(normalized(p, float(x[i]), mean[c], rstd[c] * w[c], b[c], residual ? float(residual[i]) : 0));
}

// ---- Rung 2, two_stage: blocks sum parts of the rows, a second kernel merges the parts, a third normalises. Rung 3,
// vec16, is the same with 16 bytes an access. ----

// Count, mean and Σ (x − mean)² of a set; two sets merge after Chan et al. 1979.
struct Moments {
  float count, mean, m2;
};
__device__ inline Moments merge(Moments a, Moments b) {
  const float count = a.count + b.count, share = count > 0 ? b.count / count : 0, delta = b.mean - a.mean;
  return {count, a.mean + delta * share, a.m2 + b.m2 + delta * delta * a.count * share};
}

// Each thread takes a few rows at a time into registers, so that their mean is known before the squares are summed.
template <class T, int V>
__global__ void moments_of_parts(ChannelTile tile, const T* x, float* part_mean, float* part_m2) {
  constexpr int kBatch = V == 8 ? 4 : 8;
  SHARED(float, mean, [V][kTileThreads]);
  SHARED(float, m2, [V][kTileThreads]);
  SHARED(float, count, [kTileThreads]);
  const TileThread<V> t(tile);
  Moments mine[V] = {};
  for (int64_t r = t.first; r < t.last; r += kBatch * t.row_lanes) {
    Vec<T, V> v[kBatch] = {};
    int rows = 0;
#pragma unroll
    for (int k = 0; k < kBatch; ++k)
      if (r + k * t.row_lanes < t.last) {
        v[k] = load_vec<V>(x + (r + k * t.row_lanes) * tile.channels + t.c);
        ++rows;
      }
#pragma unroll
    for (int i = 0; i < V; ++i) {
      Moments batch{float(rows), 0, 0};
#pragma unroll
      for (int k = 0; k < kBatch; ++k)
        if (k < rows) batch.mean += float(v[k][i]);
      batch.mean /= float(rows);
#pragma unroll
      for (int k = 0; k < kBatch; ++k)
        if (k < rows) batch.m2 += (float(v[k][i]) - batch.mean) * (float(v[k][i]) - batch.mean);
      mine[i] = merge(mine[i], batch);
    }
  }
  count[threadIdx.x] = mine[0].count;
  for (int i = 0; i < V; ++i) {
    mean[i][threadIdx.x] = mine[i].mean;
    m2[i][threadIdx.x] = mine[i].m2;
  }
  for (int half = t.row_lanes / 2; half > 0; half /= 2) {
    __syncthreads();
    if (t.row_lane >= half) continue;
    const int other = threadIdx.x + half * tile.lanes;
    for (int i = 0; i < V; ++i) {
      mine[i] = merge(mine[i], {count[other], mean[i][other], m2[i][other]});
      mean[i][threadIdx.x] = mine[i].mean;
      m2[i][threadIdx.x] = mine[i].m2;
    }
    count[threadIdx.x] = mine[0].count;
  }
  if (t.row_lane != 0 || t.c >= tile.channels) return;
  for (int i = 0; i < V; ++i) {
    part_mean[blockIdx.x * tile.channels + t.c + i] = mine[i].mean;
    part_m2[blockIdx.x * tile.channels + t.c + i] = mine[i].m2;
  }
}

// 32 channels a block; warp w merges parts w, w + 8, …, and warp 0 merges the warps.
__global__ void merge_parts(BatchNorm p, ChannelTile tile, const float* part_mean, const float* part_m2,
                            float* running_mean, float* running_var, float* mean, float* rstd) {
  constexpr int kWarps = kTileThreads / 32;
  SHARED(Moments, of_warp, [kWarps][32]);
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int64_t c = int64_t{blockIdx.x} * 32 + lane;
  Moments mine{0, 0, 0};
  if (c < p.channels)
    for (int64_t k = warp; k < tile.parts; k += kWarps) {
      const int64_t left = p.rows - k * tile.rows_per_part,
                    here = left < tile.rows_per_part ? left : tile.rows_per_part;
      mine = merge(mine, {float(here), part_mean[k * p.channels + c], part_m2[k * p.channels + c]});
    }
  of_warp[warp][lane] = mine;
  __syncthreads();
  if (warp != 0 || c >= p.channels) return;
  for (int k = 1; k < kWarps; ++k) mine = merge(mine, of_warp[k][lane]);
  finish_channel(p, c, mine.mean, mine.m2, running_mean, running_var, mean, rstd);
}

template <class T, int V>
__global__ void normalize(BatchNorm p, ChannelTile tile, const T* x, const float* w, const float* b, const T* residual,
                          const float* mean, const float* rstd, T* y) {
  const TileThread<V> t(tile);
  if (t.c >= p.channels) return;
  float m[V], scale[V], shift[V];
  for (int i = 0; i < V; ++i) {
    m[i] = mean[t.c + i];
    scale[i] = rstd[t.c + i] * w[t.c + i];
    shift[i] = b[t.c + i];
  }
  for (int64_t r = t.first; r < t.last; r += t.row_lanes) {
    const int64_t at = r * p.channels + t.c;
    Vec<T, V> v = load_vec<V>(x + at), add = {};
    if (residual) add = load_vec<V>(residual + at);
    for (int i = 0; i < V; ++i)
      v[i] = T(normalized(p, float(v[i]), m[i], scale[i], shift[i], residual ? float(add[i]) : 0));
    store_vec(y + at, v);
  }
}

template <class T>
void run_naive(Gpu gpu, BatchNorm p, const T* x, const float* w, const float* b, const T* residual, float* running_mean,
               float* running_var, T* y, float* mean, float* rstd) {
  launch<forward_naive<T>>(gpu, {cdiv(p.channels, kTileThreads), kTileThreads}, p, x, w, b, residual, running_mean,
                           running_var, y, mean, rstd);
}

template <class T, int V>
void run_two_stage(Gpu gpu, BatchNorm p, const T* x, const float* w, const float* b, const T* residual,
                   float* running_mean, float* running_var, T* y, float* mean, float* rstd) {
  if (p.training) {
    const ChannelTile tile(p.rows, p.channels, V, kMaxParts, 8);
    const Workspace parts(gpu, 2 * tile.parts * p.channels * sizeof(float));
    float *part_mean = parts.as<float>(), *part_m2 = part_mean + tile.parts * p.channels;
    launch<moments_of_parts<T, V>>(gpu, {tile.grid(V), kTileThreads}, tile, x, part_mean, part_m2);
    launch<merge_parts>(gpu, {cdiv(p.channels, 32), kTileThreads}, p, tile, part_mean, part_m2, running_mean,
                        running_var, mean, rstd);
  }
  const ChannelTile tile(p.rows, p.channels, V, INT32_MAX, 8);
  launch<normalize<T, V>>(gpu, {tile.grid(V), kTileThreads}, p, tile, x, w, b, residual, mean, rstd, y);
}

template <class T>
void run_vec16(Gpu gpu, BatchNorm p, const T* x, const float* w, const float* b, const T* residual, float* running_mean,
               float* running_var, T* y, float* mean, float* rstd) {
  const bool aligned = rows_aligned16<T>(p.channels, x, residual, y);
  (aligned ? run_two_stage<T, Vec<T>::size> : run_two_stage<T, 1>)(gpu, p, x, w, b, residual, running_mean, running_var,
                                                                   y, mean, rstd);
}

}  // namespace

template <class B, class T>
void batch_norm_forward(B gpu, BatchNorm p, const T* x, const acc_t<T>* w, const acc_t<T>* b, const T* residual,
                        acc_t<T>* running_mean, acc_t<T>* running_var, T* y, acc_t<T>* mean, acc_t<T>* rstd) {
  if (!p.training)
    launch<take_running>(gpu, {cdiv(p.channels, kTileThreads), kTileThreads}, p, running_mean, running_var, mean, rstd);
  constexpr decltype(&run_naive<T>) rungs[] = {run_naive<T>, run_two_stage<T, 1>, run_vec16<T>};
  rungs[batch_norm_forward_rungs.pick("vec16")](gpu, p, x, w, b, residual, running_mean, running_var, y, mean, rstd);
}

#define INSTANTIATE(T)                                                                                                 \
  template void batch_norm_forward(Gpu, BatchNorm, const T*, const float*, const float*, const T*, float*, float*, T*, \
                                   float*, float*);
INSTANTIATE(float)
INSTANTIATE(bf16)
INSTANTIATE(f16)
#undef INSTANTIATE

}  // namespace holt
