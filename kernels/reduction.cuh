// What sum.cu and max.cu share: where an element of [outer, reduced, inner] stands, and how work is cut.
//
// Rows (inner = 1): a warp takes a row of up to kWarpRow elements, a block a chunk of kRowChunk of a longer one.
// Columns: a block's threads stand side by side on `width` columns, a power of two, 256 / width rows deep; a block
// takes 64 such depths of rows, and its threads meet in shared memory. Chunks are of a fixed size, so the same shape is
// always summed in the same order. The results of several chunks are reduced once more, as [outer, chunks, inner].
#pragma once
#include "kernels/elementwise.cuh"
#include "kernels/sum.h"

namespace holt {

constexpr int kReduceThreads = 256;
constexpr int64_t kWarpRow = 1024, kRowChunk = 16384;  // elements
constexpr int kDepths = 64;                            // rows that a thread of a column block adds up

/// The place of an element, for walks that advance by one.
struct Place {
  int64_t o, k, i;
  __device__ Place(const Reduction& p, int64_t j) {
    const int64_t row = divide(j, p.inner);
    o = divide(row, p.reduced);
    k = row - o * p.reduced;
    i = j - row * p.inner;
  }
  __device__ void next(const Reduction& p) {
    if (++i < p.inner) return;
    i = 0;
    if (++k < p.reduced) return;
    k = 0;
    ++o;
  }
};

/// N neighbours of one row: 16 aligned bytes, or a single element.
template <int N, class T>
__device__ Vec<T, N> load(const T* p) {
  if constexpr (N == 1)
    return {{*p}};
  else
    return load16(p);
}

/// Blocks for `units` of work that they take in turns.
inline unsigned blocks_for(int64_t units) { return static_cast<unsigned>(std::min<int64_t>(units, 1 << 16)); }

/// Threads side by side on columns, each on `per_thread` neighbours: the power of two that covers them, at most 32.
inline int column_width(int64_t inner, int per_thread) {
  int width = 1;
  while (width < 32 && width * per_thread < inner) width *= 2;
  return width;
}

}  // namespace holt
