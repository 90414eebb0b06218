// What the flash kernels of attention.cu and attention_backward.cu share. All three products of rows by rows look the
// same: a block keeps `rows` rows of one side (its own) and walks over the other side's, `cols` at a time:
//
//             own          the other side     scores            sums
//   forward   queries      keys, values       q·kᵀ              o += p·v
//   dq        queries, do  keys, values       q·kᵀ, do·vᵀ       dq += ds·k
//   dk, dv    keys, values queries, do        k·qᵀ, v·doᵀ       dv += pᵀ·do, dk += dsᵀ·q
//
// An engine does the arithmetic of a tile: attention_mma.cuh for 16-bit types, attention_register.cuh for f32. Scores
// stay in registers. With E an engine:
//   E::rows, cols, threads, pitch, stages   a warp owns rows/warps of the rows, and nobody else reads them
//   E::Scores, E::Sums                      a thread's share of s [rows, cols] and of sums [rows, D]; at(i, j) is an
//                                           element; E::row(i) its row, E::col(j) its column among the scores
//   E::score(s, own, other)                 s = own·otherᵀ
//   E::accumulate(sums, s, other, scratch)  sums += s·other
//   E::across(x, op)                        combines x over the lanes that share a row
//   E::stage(sums, factor, tile)            own rows of the tile ← sums·factor(i), as T
//
// Tiles lie in shared memory as [row][d], rows 16 bytes longer than needed, so that eight rows read at a time lie in
// different banks. They come by cp.async where rows are aligned, else element by element into the same places.
#pragma once
#include "kernels/attention.h"
#include "kernels/gpu.cuh"

namespace holt::flash {

constexpr float kLog2e = 1.44269504f;

/// Rows of one head of one batch.
template <class T>
struct Rows {
  const T* data;  ///< the first
  int64_t pitch;
  int count, head_size;
  bool vectors;  ///< whether 16-byte accesses are legal
};

/// Which head and which of its tiles a block takes: tiles of a head run side by side, so that the other side comes from
/// L2.
struct Place {
  int first;  ///< row
  int64_t b, h, head;
  __device__ Place(const Attention& p, int tiles, int rows)
      : first(static_cast<int>(blockIdx.x % tiles) * rows), head(blockIdx.x / tiles) {
    b = head / p.heads;
    h = head % p.heads;
  }
  template <class T>
  __device__ Rows<T> of(const Attention& p, const T* x, int64_t count, int64_t pitch, bool vectors) const {
    return {x + (b * count * pitch + h * p.head_size), pitch, static_cast<int>(count), static_cast<int>(p.head_size),
            vectors};
  }
};

/// tile[Count][D] ← rows from `first` on; zeros for what is outside. There after walk's next wait and barrier.
template <class E, int Count>
__device__ void fetch(typename E::T* tile, const Rows<typename E::T>& x, int first) {
  using T = typename E::T;
  constexpr int N = Vec<T>::size, kPieces = E::head_size / N;
#pragma unroll 4
  for (int i = hidden(threadIdx.x); i < Count * kPieces; i += E::threads) {
    const int r = i / kPieces, d = i % kPieces * N;
    const bool inside = first + r < x.count && d < x.head_size;
    const T* const from = x.data + (inside ? (first + r) * x.pitch + d : 0);
    T* const to = tile + r * E::pitch + d;
    if (x.vectors) {
      cp_async16_or_zero(to, from, inside);
    } else {
      Vec<T> v;
#pragma unroll
      for (int k = 0; k < N; ++k) v[k] = inside ? from[k] : T(0.0f);
      store16(to, v);
    }
  }
}

/// Writes the calling warp's staged rows of the tile, which start at row `first` of y.
template <class E>
__device__ void write_rows(const typename E::T* tile, typename E::T* y, int64_t pitch, int first, int count,
                           int head_size, bool vectors) {
  using T = typename E::T;
  constexpr int N = Vec<T>::size, kPieces = E::head_size / N, kWarpRows = E::rows / (E::threads / 32);
  __syncwarp();
  const int begin = threadIdx.x / 32 * kWarpRows;
#pragma unroll 1
  for (int i = threadIdx.x % 32; i < kWarpRows * kPieces; i += 32) {
    const int r = begin + i / kPieces, d = i % kPieces * N;
    if (first + r >= count || d >= head_size) continue;
    const Vec<T> v = load16(tile + r * E::pitch + d);
    T* const to = y + ((first + r) * pitch + d);
    if (vectors) {
      store16(to, v);
    } else {
#pragma unroll
      for (int k = 0; k < N; ++k) to[k] = v[k];
    }
  }
  __syncwarp();
}

/// Walks over the other side's rows: step(j, first, stage) for each tile of E::cols, which load(stage, first) started
/// to fetch. With two stages the next tile comes while one is worked on.
template <class E, class Load, class Step>
__device__ void walk(int count, Load&& load, Step&& step) {
  if constexpr (E::stages == 2) {
    if (count > 0) load(0, 0);
    cp_async_commit();
  }
  int stage = 0;
#pragma unroll 1
  for (int first = 0; first < count; first += E::cols) {
    if constexpr (E::stages == 1) {
      __syncthreads();  // all are done with the tile before
      load(0, first);
      cp_async_commit();
    }
    cp_async_wait<0>();
    __syncthreads();  // the tile is there for all; with two stages, all are done with the other one, too
    if constexpr (E::stages == 2) {
      if (first + E::cols < count) load(1 - stage, first + E::cols);
      cp_async_commit();
    }
    step(first, stage);
    if constexpr (E::stages == 2) stage = 1 - stage;
  }
  cp_async_commit();
  cp_async_wait<0>();  // where there was nothing to walk over, the own tiles are still on their way
  __syncthreads();
}

/// Bytes of `own` tiles, two tiles of the other side in each stage, the scratch and `floats` more numbers.
template <class E>
constexpr size_t shared_bytes(int own, int floats) {
  return (own * E::rows + 2 * E::stages * E::cols) * E::pitch * sizeof(typename E::T) +
         (E::scratch + floats) * sizeof(float);
}

/// Blocks of `rows` rows for all heads. Error where a GPU's indices would not do.
inline int64_t tiles_of(const char* op, const Attention& p, int64_t count, int rows) {
  constexpr int64_t kLimit = (int64_t{1} << 31) - 256;
  check(p.queries < kLimit && p.keys < kLimit && cdiv(count, rows) * p.batch * p.heads < kLimit,
        "{}: GPU kernels index rows and blocks with 31 bits, got {} queries and {} keys of {} heads", op, p.queries,
        p.keys, p.batch * p.heads);
  return cdiv(count, rows);
}

/// f(std::integral_constant<int, D>) for the smallest D of 32, 64, 96, 128 that holds the head.
template <class F>
void with_head_size(int64_t head_size, F&& f) {
  if (head_size <= 32) return f(std::integral_constant<int, 32>{});
  if (head_size <= 64) return f(std::integral_constant<int, 64>{});
  if (head_size <= 96) return f(std::integral_constant<int, 96>{});
  f(std::integral_constant<int, 128>{});
}

}  // namespace holt::flash
