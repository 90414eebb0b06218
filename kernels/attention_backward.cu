// Attention's backward on the GPU: dq, dk and dv, the contract in attention.h; scores anew from lse.
//
// Roof. 10·T²·D flops of 8·T·D numbers for each head, 14·T²·D done: dq is a sum over keys, dk and dv are sums over
// queries, and each kernel keeps its sums in registers, so that scores and do·vᵀ are made twice. One kernel for both
// would add to dq by atomics, in a different order every time, or write partial sums of dq. 14/8·T/2 = 0.9·T flops a
// byte in 16 bits: bound by arithmetic from 340 tokens on an H100 (295 flops a byte), 190 on an RTX 4090 (164).
// ViT-B/16, batch 64, bf16: 27 GFLOP done, 45 µs at the 60 % of an H100 that mma.sync reaches, 160 µs on a 4090.
//
// Launch. As the forward's; 32 rows of the other side at a time: with 64 the scores and their gradients would push the
// sums out of registers.
//
//   D                        32        64        96        128
//   shared memory, 16-bit    21 KB     37 KB     54 KB     70 KB
//   shared memory, f32       37 KB     61 KB     56 KB     72 KB
//   registers                93 to 248 a thread: two to four blocks an SM of an H100, one or two of a 4090
#include "kernels/attention.h"
#include "kernels/attention_mma.cuh"
#include "kernels/attention_naive.cuh"
#include "kernels/attention_register.cuh"
#include "kernels/gpu.cuh"

namespace holt {
namespace {

constexpr int kThreads = 128;

// delta[b,h,i] = ⟨do[i], o[i]⟩: eight lanes a row, 8 numbers a lane and step.
template <class T>
__global__ void row_products(Attention p, const T* dout, const T* o, float* delta) {
  const int64_t row = int64_t{blockIdx.x} * (blockDim.x / 8) + threadIdx.x / 8;  // [B,Tq,H]: as they lie in memory
  const int64_t rows = p.batch * p.queries * p.heads;
  float sum = 0;
  if (row < rows)
    for (int d = threadIdx.x % 8; d < p.head_size; d += 8)
      sum += float(dout[row * p.head_size + d]) * float(o[row * p.head_size + d]);
  for (int offset = 4; offset > 0; offset /= 2) sum += __shfl_xor_sync(kFullWarp, sum, offset);
  const int64_t h = row % p.heads, i = row / p.heads % p.queries, b = row / (p.heads * p.queries);
  if (row < rows && threadIdx.x % 8 == 0) delta[(b * p.heads + h) * p.queries + i] = sum;
}

template <class T>
void run_naive(Gpu gpu, const Attention& p, const T* dout, const T* q, const T* k, const T* v, const float* lse,
               const float* delta, T* dq, T* dk, T* dv) {
  using namespace attention_naive;
  const int64_t heads = p.batch * p.heads;
  if (dq)
    launch<backward_q_naive<T>>(gpu, {cdiv(heads * p.queries, kThreads), kThreads}, p, dout, q, k, v, lse, delta, dq);
  if (dk || dv)
    launch<backward_kv_naive<T>>(gpu, {cdiv(heads * p.keys, kThreads), kThreads}, p, dout, q, k, v, lse, delta, dk, dv);
}

// Rung 2, flash: two kernels, each of which sums in its registers what it owns, without atomics: the same bits every
// time, for two of seven products done twice.
template <class T, int HeadSize>
struct EngineOf {
  using type = flash::MmaEngine<T, HeadSize, 32>;
};
template <int HeadSize>
struct EngineOf<float, HeadSize> {
  using type = flash::RegisterEngine<HeadSize>;
};

// What both kernels are given.
template <class T>
struct Given {
  Attention p;
  int tiles;
  bool vectors;
  const T *dout, *q, *k, *v;
  const float *lse, *delta;
  int64_t o_pitch;
  float factor;  // scale·log2 e

  __device__ flash::Rows<T> queries(const flash::Place& x) const { return x.of(p, q, p.queries, p.q_pitch, vectors); }
  __device__ flash::Rows<T> douts(const flash::Place& x) const { return x.of(p, dout, p.queries, o_pitch, vectors); }
  __device__ flash::Rows<T> keys(const flash::Place& x) const { return x.of(p, k, p.keys, p.kv_pitch, vectors); }
  __device__ flash::Rows<T> values(const flash::Place& x) const { return x.of(p, v, p.keys, p.kv_pitch, vectors); }
};

// A block owns queries and walks over the keys: dq = scale·Σ_j ds·k.
template <class E>
__global__ void __launch_bounds__(E::threads, 2) backward_q_flash(Given<typename E::T> x, typename E::T* dq) {
  using T = typename E::T;
  constexpr int kOwn = E::rows * E::pitch, kTile = E::cols * E::pitch;
  DYNAMIC_SHARED(T, shared);
  T* const own = shared;               // q, do
  T* const other = shared + 2 * kOwn;  // [stage][k, v]
  float* const scratch = reinterpret_cast<float*>(other + 2 * E::stages * kTile);
  const flash::Place place(x.p, x.tiles, E::rows);
  const auto queries = x.queries(place), keys = x.keys(place), values = x.values(place);

  float lse[E::thread_rows], delta[E::thread_rows];
#pragma unroll
  for (int i = 0; i < E::thread_rows; ++i) {
    const int row = place.first + E::row(i);
    const bool inside = row < queries.count;
    lse[i] = inside ? x.lse[place.head * x.p.queries + row] * flash::kLog2e : 0;
    delta[i] = inside ? x.delta[place.head * x.p.queries + row] : 0;
  }
  typename E::Sums sums{};
  flash::fetch<E, E::rows>(own, queries, place.first);
  flash::fetch<E, E::rows>(own + kOwn, x.douts(place), place.first);
  flash::walk<E>(
      keys.count,
      [&](int stage, int first) {
        flash::fetch<E, E::cols>(other + 2 * stage * kTile, keys, first);
        flash::fetch<E, E::cols>(other + (2 * stage + 1) * kTile, values, first);
      },
      [&](int first, int stage) {
        const T *const k = other + 2 * stage * kTile, *const v = k + kTile;
        typename E::Scores s, ds;
        E::score(s, own, k);
        E::score(ds, own + kOwn, v);
#pragma unroll
        for (int j = 0; j < E::Scores::cols; ++j) {
          const bool inside = first + E::col(j) < keys.count;
#pragma unroll
          for (int i = 0; i < E::thread_rows; ++i)
            ds.at(i, j) = inside ? exp2f(s.at(i, j) * x.factor - lse[i]) * (ds.at(i, j) - delta[i]) : 0.0f;
        }
        E::accumulate(sums, ds, k, scratch);
      });
  E::stage(
      sums, [&](int) { return float(x.p.scale); }, own);
  flash::write_rows<E>(own, dq + (place.b * x.p.queries * x.p.q_pitch + place.h * x.p.head_size), x.p.q_pitch,
                       place.first, queries.count, queries.head_size, x.vectors);
}

// A block owns keys and walks over the queries: dv = Σ_i p·do, dk = scale·Σ_i ds·q. Scores stand the other way round,
// [key, query], so that they are the left operand of these products.
template <class E>
__global__ void __launch_bounds__(E::threads, 2)
    backward_kv_flash(Given<typename E::T> x, typename E::T* dk, typename E::T* dv) {
  using T = typename E::T;
  constexpr int kOwn = E::rows * E::pitch, kTile = E::cols * E::pitch;
  DYNAMIC_SHARED(T, shared);
  T* const own = shared;               // k, v
  T* const other = shared + 2 * kOwn;  // [stage][q, do]
  float* const scratch = reinterpret_cast<float*>(other + 2 * E::stages * kTile);
  float* const stats = scratch + E::scratch;  // [stage][lse, delta][cols]
  const flash::Place place(x.p, x.tiles, E::rows);
  const auto queries = x.queries(place), douts = x.douts(place), keys = x.keys(place);

  typename E::Sums dk_sums{}, dv_sums{};
  flash::fetch<E, E::rows>(own, keys, place.first);
  flash::fetch<E, E::rows>(own + kOwn, x.values(place), place.first);
  flash::walk<E>(
      queries.count,
      [&](int stage, int first) {
        flash::fetch<E, E::cols>(other + 2 * stage * kTile, queries, first);
        flash::fetch<E, E::cols>(other + (2 * stage + 1) * kTile, douts, first);
        if (threadIdx.x < 2 * E::cols) {
          const int i = first + threadIdx.x % E::cols;
          const bool is_lse = threadIdx.x < E::cols;
          // A query beyond the last has p = 0.
          float value = is_lse ? INFINITY : 0;
          if (i < queries.count)
            value =
                is_lse ? x.lse[place.head * x.p.queries + i] * flash::kLog2e : x.delta[place.head * x.p.queries + i];
          stats[2 * stage * E::cols + threadIdx.x] = value;
        }
      },
      [&](int, int stage) {
        const T *const q = other + 2 * stage * kTile, *const dout = q + kTile;
        const float *const lse = stats + 2 * stage * E::cols, *const delta = lse + E::cols;
        typename E::Scores s, ds;
        E::score(s, own, q);
        E::score(ds, own + kOwn, dout);
#pragma unroll
        for (int j = 0; j < E::Scores::cols; ++j) {
          const float l = lse[E::col(j)], d = delta[E::col(j)];
#pragma unroll
          for (int i = 0; i < E::thread_rows; ++i) {
            s.at(i, j) = exp2f(s.at(i, j) * x.factor - l);
            ds.at(i, j) = s.at(i, j) * (ds.at(i, j) - d);
          }
        }
        E::accumulate(dv_sums, s, dout, scratch);
        E::accumulate(dk_sums, ds, q, scratch);
      });
  const int64_t at = place.b * x.p.keys * x.p.kv_pitch + place.h * x.p.head_size;
  if (dv) {
    E::stage(
        dv_sums, [&](int) { return 1.0f; }, own);
    flash::write_rows<E>(own, dv + at, x.p.kv_pitch, place.first, keys.count, keys.head_size, x.vectors);
  }
  if (dk) {
    E::stage(
        dk_sums, [&](int) { return float(x.p.scale); }, own);
    flash::write_rows<E>(own, dk + at, x.p.kv_pitch, place.first, keys.count, keys.head_size, x.vectors);
  }
}

template <class T>
void run_flash(Gpu gpu, const Attention& p, const T* dout, const T* q, const T* k, const T* v, const float* lse,
               const float* delta, T* dq, T* dk, T* dv) {
  const bool vectors = aligned16(dout) && aligned16(q) && aligned16(k) && aligned16(v) && aligned16(dq) &&
                       aligned16(dk) && aligned16(dv) && p.q_pitch % Vec<T>::size == 0 &&
                       p.kv_pitch % Vec<T>::size == 0;
  flash::with_head_size(p.head_size, [&](auto size) {
    using E = typename EngineOf<T, size>::type;
    Given<T> x{p, 0, vectors, dout, q, k, v, lse, delta, p.heads * p.head_size, float(p.scale) * flash::kLog2e};
    const auto tiles = [&](int64_t rows) {
      x.tiles = static_cast<int>(flash::tiles_of("attention_backward", p, rows, E::rows));
      return dim3(x.tiles * p.batch * p.heads);
    };
    if (dq) {
      const dim3 grid = tiles(p.queries);
      launch<backward_q_flash<E>>(gpu, {grid, dim3(E::threads), flash::shared_bytes<E>(2, 0)}, x, dq);
    }
    if (dk || dv) {
      const dim3 grid = tiles(p.keys);
      launch<backward_kv_flash<E>>(gpu, {grid, dim3(E::threads), flash::shared_bytes<E>(2, 2 * E::stages * E::cols)}, x,
                                   dk, dv);
    }
  });
}

}  // namespace

template <class B, class T>
void attention_backward(B gpu, const Attention& p, const T* dout, const T* q, const T* k, const T* v, const T* o,
                        const acc_t<T>* lse, T* dq, T* dk, T* dv) {
  const int64_t rows = p.batch * p.queries * p.heads;
  const Workspace delta(gpu, rows * sizeof(float));
  launch<row_products<T>>(gpu, {cdiv(rows, kThreads / 8), kThreads}, p, dout, o, delta.as<float>());
  constexpr decltype(&run_naive<T>) rungs[] = {run_naive<T>, run_flash<T>};
  rungs[attention_backward_rungs.pick("flash")](gpu, p, dout, q, k, v, lse, delta.as<float>(), dq, dk, dv);
}

#define INSTANTIATE(T)                                                                                      \
  template void attention_backward(Gpu, const Attention&, const T*, const T*, const T*, const T*, const T*, \
                                   const float*, T*, T*, T*);
INSTANTIATE(float)
INSTANTIATE(bf16)
INSTANTIATE(f16)
#undef INSTANTIATE

}  // namespace holt
