// Memory-bound: 5·R·C·sizeof(T) bytes in training (dy, x for the sums; dy, x, dx), 12 flops an element. ResNet-50's
// first stage at batch 64, [200704, 256] bf16, is 514 MB: at least 153 µs on an H100 (3.35 TB/s), 509 µs on an RTX 4090
// (1.01 TB/s). sums_of_parts: 256 threads as channel_tile.cuh says, 8 channels a thread (16 bytes): 72 to 80 registers
// for their sums and constants and 16 KB of shared memory on sm_90, so 37 % of an H100's threads; two or three 16-byte
// loads each are 24 to 36 KB under way a multiprocessor where its memory asks for 18. dx_of_rows: 46 (float) to 70
// registers, 62 to 37 %.
#include "kernels/batch_norm.h"
#include "kernels/channel_tile.cuh"

namespace holt {
namespace {

constexpr int kMaxParts = 256;

template <class T>
struct Pointers {
  const T *dy, *x, *y;
  const float *w, *b, *mean, *rstd;
  T* dx;
  float *dw, *db;
  T* dresidual;
};

// A channel's constants: v = (x − mean)·scale + shift was the forward's result before relu (where there was no
// residual), and dx = scale·g − k1 − (x − mean)·k2.
struct Channel {
  float mean, scale, shift, k1, k2;
};

template <class T>
__device__ Channel channel(const Pointers<T>& q, int64_t c) {
  return {q.mean[c], q.rstd[c] * q.w[c], q.b ? q.b[c] : 0, 0, 0};
}

// Sums over a channel's rows, and what they make of it.
__device__ inline void finish_channel(const BatchNorm& p, int64_t c, float g_sum, float gx_sum, float scale, float rstd,
                                      float* dw, float* db, float& k1, float& k2) {
  if (dw) dw[c] = gx_sum * rstd;
  if (db) db[c] = g_sum;
  k1 = scale * g_sum / p.rows;
  k2 = scale * gx_sum * rstd * rstd / p.rows;
}

// g of one element. `y` is read only where it is given, `x` only for a mask without it.
__device__ inline float masked(const BatchNorm& p, float dy, bool has_y, float x, float y, const Channel& ch) {
  if (!p.relu) return dy;
  return (has_y ? y : (x - ch.mean) * ch.scale + ch.shift) <= 0 ? 0 : dy;
}

__device__ inline float slope(const Channel& ch, float g, float x) {
  return ch.scale * g - ch.k1 - (x - ch.mean) * ch.k2;
}

// ---- Rung 1, naive: one thread a channel. ----

template <class T>
__global__ void backward_naive(BatchNorm p, Pointers<T> q) {
  const int64_t c = int64_t{blockIdx.x} * blockDim.x + threadIdx.x, C = p.channels;
  if (c >= C) return;
  Channel ch = channel(q, c);
  const auto g_at = [&](int64_t i) {
    return masked(p, float(q.dy[i]), q.y, q.x ? float(q.x[i]) : 0, q.y ? float(q.y[i]) : 0, ch);
  };
  if (q.dw || q.db || (q.dx && p.training)) {
    float g_sum = 0, gx_sum = 0;
    for (int64_t i = c; i < p.rows * C; i += C) {
      g_sum += g_at(i);
      if (q.x) gx_sum += g_at(i) * (float(q.x[i]) - ch.mean);
    }
    float k1, k2;
    finish_channel(p, c, g_sum, gx_sum, ch.scale, q.rstd[c], q.dw, q.db, k1, k2);
    if (p.training) {
      ch.k1 = k1;
      ch.k2 = k2;
    }
  }
  for (int64_t i = c; i < p.rows * C; i += C) {
    const float g = g_at(i);
    if (q.dresidual) q.dresidual[i] = T(g);
    if (q.dx) q.dx[i] = T(p.training ? slope(ch, g, float(q.x[i])) : ch.scale * g);
  }
}

// ---- Rung 2, two_stage; rung 3, vec16, is the same with 16 bytes an access. ----

// Stage 1: g, and with it all that needs no sums (dresidual; dx of a frozen layer), and each part's sums.
template <class T, int V>
__global__ void sums_of_parts(BatchNorm p, ChannelTile tile, Pointers<T> q, float* part_g, float* part_gx) {
  SHARED(float, g_part, [V][kTileThreads]);
  SHARED(float, gx_part, [V][kTileThreads]);
  const TileThread<V> t(tile);
  Channel ch[V] = {};
  float g_sum[V] = {}, gx_sum[V] = {};
  if (t.c < p.channels)
    for (int i = 0; i < V; ++i) ch[i] = channel(q, t.c + i);
  for (int64_t r = t.first; r < t.last; r += t.row_lanes) {
    const int64_t at = r * p.channels + t.c;
    Vec<T, V> g = load_vec<V>(q.dy + at), x = {}, y = {};
    if (q.x) x = load_vec<V>(q.x + at);
    if (q.y) y = load_vec<V>(q.y + at);
    for (int i = 0; i < V; ++i) {
      const float gi = masked(p, float(g[i]), q.y, float(x[i]), float(y[i]), ch[i]);
      g_sum[i] += gi;
      gx_sum[i] += gi * (float(x[i]) - ch[i].mean);
      g[i] = T(gi);
    }
    if (q.dresidual) store_vec(q.dresidual + at, g);
    if (!q.dx || p.training) continue;
    for (int i = 0; i < V; ++i) g[i] = T(ch[i].scale * float(g[i]));
    store_vec(q.dx + at, g);
  }
  for (int i = 0; i < V; ++i) {
    g_part[i][threadIdx.x] = g_sum[i];
    gx_part[i][threadIdx.x] = gx_sum[i];
  }
  for (int half = t.row_lanes / 2; half > 0; half /= 2) {
    __syncthreads();
    if (t.row_lane >= half) continue;
    for (int i = 0; i < V; ++i) {
      g_part[i][threadIdx.x] += g_part[i][threadIdx.x + half * tile.lanes];
      gx_part[i][threadIdx.x] += gx_part[i][threadIdx.x + half * tile.lanes];
    }
  }
  if (t.row_lane != 0 || t.c >= p.channels) return;
  for (int i = 0; i < V; ++i) {
    part_g[blockIdx.x * p.channels + t.c + i] = g_part[i][threadIdx.x];
    part_gx[blockIdx.x * p.channels + t.c + i] = gx_part[i][threadIdx.x];
  }
}

// Stage 2: 32 channels a block; warp w adds parts w, w + 8, …, and warp 0 adds the warps.
template <class T>
__global__ void add_parts(BatchNorm p, int64_t parts, Pointers<T> q, const float* part_g, const float* part_gx,
                          float* k1, float* k2) {
  constexpr int kWarps = kTileThreads / 32;
  SHARED(float, g_of_warp, [kWarps][32]);
  SHARED(float, gx_of_warp, [kWarps][32]);
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int64_t c = int64_t{blockIdx.x} * 32 + lane;
  float g_sum = 0, gx_sum = 0;
  if (c < p.channels)
    for (int64_t k = warp; k < parts; k += kWarps) {
      g_sum += part_g[k * p.channels + c];
      gx_sum += part_gx[k * p.channels + c];
    }
  g_of_warp[warp][lane] = g_sum;
  gx_of_warp[warp][lane] = gx_sum;
  __syncthreads();
  if (warp != 0 || c >= p.channels) return;
  for (int k = 1; k < kWarps; ++k) {
    g_sum += g_of_warp[k][lane];
    gx_sum += gx_of_warp[k][lane];
  }
  finish_channel(p, c, g_sum, gx_sum, q.rstd[c] * q.w[c], q.rstd[c], q.dw, q.db, k1[c], k2[c]);
}

// Stage 3, training only: dx.
template <class T, int V>
__global__ void dx_of_rows(BatchNorm p, ChannelTile tile, Pointers<T> q, const float* k1, const float* k2) {
  const TileThread<V> t(tile);
  if (t.c >= p.channels) return;
  Channel ch[V];
  for (int i = 0; i < V; ++i) {
    ch[i] = channel(q, t.c + i);
    ch[i].k1 = k1[t.c + i];
    ch[i].k2 = k2[t.c + i];
  }
  for (int64_t r = t.first; r < t.last; r += t.row_lanes) {
    const int64_t at = r * p.channels + t.c;
    Vec<T, V> g = load_vec<V>(q.dy + at), y = {};
    const Vec<T, V> x = load_vec<V>(q.x + at);
    if (q.y) y = load_vec<V>(q.y + at);
    for (int i = 0; i < V; ++i)
      g[i] = T(slope(ch[i], masked(p, float(g[i]), q.y, float(x[i]), float(y[i]), ch[i]), float(x[i])));
    store_vec(q.dx + at, g);
  }
}

template <class T>
void run_naive(Gpu gpu, BatchNorm p, const Pointers<T>& q) {
  launch<backward_naive<T>>(gpu, {cdiv(p.channels, kTileThreads), kTileThreads}, p, q);
}

template <class T, int V>
void run_two_stage(Gpu gpu, BatchNorm p, const Pointers<T>& q) {
  const ChannelTile tile(p.rows, p.channels, V, kMaxParts, 8);
  const Workspace scratch(gpu, 2 * (tile.parts + 1) * p.channels * sizeof(float));
  float *part_g = scratch.as<float>(), *part_gx = part_g + tile.parts * p.channels;
  float *k1 = part_gx + tile.parts * p.channels, *k2 = k1 + p.channels;
  launch<sums_of_parts<T, V>>(gpu, {tile.grid(V), kTileThreads}, p, tile, q, part_g, part_gx);
  const bool dx = q.dx && p.training;
  if (q.dw || q.db || dx)
    launch<add_parts<T>>(gpu, {cdiv(p.channels, 32), kTileThreads}, p, tile.parts, q, part_g, part_gx, k1, k2);
  if (!dx) return;
  Pointers<T> from = q;
  BatchNorm unmasked = p;
  if (q.dresidual) {  // stage 1 left g there: no mask to look at
    from.dy = q.dresidual;
    from.y = nullptr;
    unmasked.relu = false;
  }
  const ChannelTile all(p.rows, p.channels, V, INT32_MAX, 8);
  launch<dx_of_rows<T, V>>(gpu, {all.grid(V), kTileThreads}, unmasked, all, from, k1, k2);
}

template <class T>
void run_vec16(Gpu gpu, BatchNorm p, const Pointers<T>& q) {
  const bool aligned = rows_aligned16<T>(p.channels, q.dy, q.x, q.y, q.dx, q.dresidual);
  (aligned ? run_two_stage<T, Vec<T>::size> : run_two_stage<T, 1>)(gpu, p, q);
}

}  // namespace

template <class B, class T>
void batch_norm_backward(B gpu, BatchNorm p, const T* dy, const T* x, const T* y, const acc_t<T>* w, const acc_t<T>* b,
                         const acc_t<T>* mean, const acc_t<T>* rstd, T* dx, acc_t<T>* dw, acc_t<T>* db, T* dresidual) {
  constexpr decltype(&run_naive<T>) rungs[] = {run_naive<T>, run_two_stage<T, 1>, run_vec16<T>};
  rungs[batch_norm_backward_rungs.pick("vec16")](gpu, p,
                                                 Pointers<T>{dy, x, y, w, b, mean, rstd, dx, dw, db, dresidual});
}

#define INSTANTIATE(T)                                                                                        \
  template void batch_norm_backward(Gpu, BatchNorm, const T*, const T*, const T*, const float*, const float*, \
                                    const float*, const float*, T*, float*, float*, T*);
INSTANTIATE(float)
INSTANTIATE(bf16)
INSTANTIATE(f16)
#undef INSTANTIATE

}  // namespace holt
