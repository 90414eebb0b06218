// Attention's forward on the GPU: o = softmax(scale·q·kᵀ)·v, the contract in attention.h.
//
// Roof. 4·T²·D flops of 4·T·D numbers for each head: T/2 flops a byte in 16 bits, T/4 in f32. An H100 (989 TFLOP/s
// bf16, 67 f32, 3.35 TB/s) wants 295 and 20, an RTX 4090 (165, 83, 1.01) 164 and 82: ViT's 197 tokens in 16 bits are
// bound by memory on both (77 MB and 7.6 GFLOP for ViT-B/16, batch 64: 23 µs on an H100, 76 µs on a 4090), from 600
// tokens on by arithmetic; f32 is bound by arithmetic but for short rows on a 4090. These kernels use mma.sync, which
// reaches about 60 % of an H100's tensor cores (Luo et al. 2024; the rest takes wgmma) and all of a 4090's. For D = 64
// a tile's exponentials take the special-function units about as long as its products the tensor cores: blocks that
// share an SM hide one behind the other.
//
// Launch. A block of four warps for each tile of queries of each head; tiles of one head are neighbours in the grid, so
// that its keys and values come from L2 but for the first of them. 16-bit: 64 queries, 64 keys at a time (D > 64: 32),
// the next ones on their way by cp.async. f32: 64 queries (D > 64: 32), 32 keys, one stage: a second one would leave
// one block an SM on the 100 KB of sm_86, sm_89 and sm_120.
//
//   D                        32        64        96        128       (smaller heads take the next larger kernel)
//   shared memory, 16-bit    26 KB     46 KB     40 KB     52 KB
//   shared memory, f32       28 KB     44 KB     43 KB     55 KB
//   registers                65 to 128 a thread: four blocks an SM of an H100, two of a 4090 (D = 128: one)
#include "kernels/attention.h"

#include "kernels/attention_mma.cuh"
#include "kernels/attention_naive.cuh"
#include "kernels/attention_register.cuh"
#include "kernels/gpu.cuh"

namespace holt {
namespace {

constexpr int kThreads = 128;

template <class T>
void run_naive(Gpu gpu, const Attention& p, const T* q, const T* k, const T* v, T* o, float* lse) {
  launch<attention_naive::forward_naive<T>>(gpu, {cdiv(p.batch * p.heads * p.queries, kThreads), kThreads}, p, q, k, v,
                                            o, lse);
}

// Rung 2, flash: a block keeps 64 queries (f32, large heads: 32) and walks over the keys; see attention_tiles.cuh.
template <class T, int HeadSize>
struct EngineOf {
  using type = flash::MmaEngine<T, HeadSize, HeadSize <= 64 ? 64 : 32>;
};
template <int HeadSize>
struct EngineOf<float, HeadSize> {
  using type = flash::RegisterEngine<HeadSize>;
};

template <class E>
__global__ void __launch_bounds__(E::threads)
    forward_flash(Attention p, int tiles, bool vectors, const typename E::T* q, const typename E::T* k,
                  const typename E::T* v, typename E::T* o, float* lse) {
  using T = typename E::T;
  constexpr int kTile = E::cols * E::pitch;
  DYNAMIC_SHARED(T, shared);
  T* const own = shared;
  T* const other = own + E::rows * E::pitch;  // [stage][k, v]
  float* const scratch = reinterpret_cast<float*>(other + 2 * E::stages * kTile);
  const flash::Place place(p, tiles, E::rows);
  const flash::Rows<T> queries = place.of(p, q, p.queries, p.q_pitch, vectors),
                       keys = place.of(p, k, p.keys, p.kv_pitch, vectors),
                       values = place.of(p, v, p.keys, p.kv_pitch, vectors);
  const float factor = float(p.scale) * flash::kLog2e;

  typename E::Sums sums{};
  float max[E::thread_rows], sum[E::thread_rows];
#pragma unroll
  for (int i = 0; i < E::thread_rows; ++i) {
    max[i] = -INFINITY;
    sum[i] = 0;
  }
  flash::fetch<E, E::rows>(own, queries, place.first);
  flash::walk<E>(
      keys.count,
      [&](int stage, int first) {
        flash::fetch<E, E::cols>(other + 2 * stage * kTile, keys, first);
        flash::fetch<E, E::cols>(other + (2 * stage + 1) * kTile, values, first);
      },
      [&](int first, int stage) {
        typename E::Scores s;
        E::score(s, own, other + 2 * stage * kTile);
        if (first + E::cols > keys.count) {
#pragma unroll
          for (int j = 0; j < E::Scores::cols; ++j)
            if (first + E::col(j) >= keys.count)
#pragma unroll
              for (int i = 0; i < E::thread_rows; ++i) s.at(i, j) = -INFINITY;
        }
#pragma unroll
        for (int i = 0; i < E::thread_rows; ++i) {
          float m = max[i];
#pragma unroll
          for (int j = 0; j < E::Scores::cols; ++j) m = fmaxf(m, s.at(i, j));
          m = E::across(m, Max{});
          const float shift = m * factor, correction = exp2f((max[i] - m) * factor);
          float total = 0;
#pragma unroll
          for (int j = 0; j < E::Scores::cols; ++j) {
            s.at(i, j) = exp2f(s.at(i, j) * factor - shift);
            total += s.at(i, j);
          }
          max[i] = m;
          sum[i] = sum[i] * correction + total;
#pragma unroll
          for (int j = 0; j < E::Sums::cols; ++j) sums.at(i, j) *= correction;
        }
        E::accumulate(sums, s, other + (2 * stage + 1) * kTile, scratch);
      });

#pragma unroll
  for (int i = 0; i < E::thread_rows; ++i) {
    sum[i] = E::across(sum[i], Sum{});
    const int row = place.first + E::row(i);
    if (E::col(0) == 0 && row < queries.count)
      lse[place.head * p.queries + row] = max[i] * float(p.scale) + logf(sum[i]);
  }
  E::stage(
      sums, [&](int i) { return 1 / sum[i]; }, own);
  const int64_t pitch = p.heads * p.head_size;
  flash::write_rows<E>(own, o + (place.b * p.queries * pitch + place.h * p.head_size), pitch, place.first,
                       queries.count, queries.head_size, vectors);
}

template <class T>
void run_flash(Gpu gpu, const Attention& p, const T* q, const T* k, const T* v, T* o, float* lse) {
  const bool vectors = aligned16(q) && aligned16(k) && aligned16(v) && aligned16(o) && p.q_pitch % Vec<T>::size == 0 &&
                       p.kv_pitch % Vec<T>::size == 0;
  flash::with_head_size(p.head_size, [&](auto size) {
    using E = typename EngineOf<T, size>::type;
    const int64_t tiles = flash::tiles_of("attention_forward", p, p.queries, E::rows);
    launch<forward_flash<E>>(gpu, {dim3(tiles * p.batch * p.heads), dim3(E::threads), flash::shared_bytes<E>(1, 0)}, p,
                             static_cast<int>(tiles), vectors, q, k, v, o, lse);
  });
}

}  // namespace

template <class B, class T>
void attention_forward(B gpu, const Attention& p, const T* q, const T* k, const T* v, T* o, acc_t<T>* lse) {
  constexpr decltype(&run_naive<T>) rungs[] = {run_naive<T>, run_flash<T>};
  rungs[attention_forward_rungs.pick("flash")](gpu, p, q, k, v, o, lse);
}

#define INSTANTIATE(T) template void attention_forward(Gpu, const Attention&, const T*, const T*, const T*, T*, float*);
INSTANTIATE(float)
INSTANTIATE(bf16)
INSTANTIATE(f16)
#undef INSTANTIATE

}  // namespace holt
