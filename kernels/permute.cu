// Memory-bound: 2·n·sizeof(T) bytes. Splitting ViT-B's heads at batch 64, [64, 197, 12, 64] → [64, 12, 197, 64] bf16,
// is 39 MB: at least 12 µs on an H100 (3.35 TB/s), 38 µs on an RTX 4090 (1.01 TB/s). tiled: 256 threads as 32 × 8, four
// elements each; 40 registers on sm_90 (75 % of an H100's threads), 1 to 8.3 KB of shared memory. Runs take the naive
// rung on 16-byte elements: 34 registers, 75 %.
#include "kernels/permute.h"

#include "kernels/elementwise.cuh"

namespace holt {
namespace {

// Rung 1, naive: one element of y a thread and turn, found in x by division, axis by axis. Writes are coalesced; reads
// are where x is contiguous along y's last axis.
template <class T>
__global__ void permute_naive(Permutation p, const T* x, T* y) {
  for (int64_t i = thread_index(); i < p.numel; i += thread_count()) {
    int64_t rest = i, from = 0;
    for (int k = p.rank - 1; k > 0; --k) {
      const int64_t outer = divide(rest, p.sizes[k]);
      from += (rest - outer * p.sizes[k]) * p.strides[k];
      rest = outer;
    }
    y[i] = x[from + rest * p.strides[0]];
  }
}

// Rung 2, tiled: 32 × 32 elements of the plane of y's last axis (columns) and x's contiguous one (rows) go through
// shared memory, so that both sides are coalesced: 32·sizeof(T) bytes a request, whole sectors where aligned. The 33rd
// column puts the elements of a column in different banks. Shared memory: 4.1 KiB for float, 8.3 KiB at most.
constexpr int kTile = 32, kDepth = 8;

struct Plane {
  int in;                               // y's axis along which x is contiguous
  int64_t rows, cols, middle;           // middle: elements of y's axes between `in` and the last
  int64_t row_tiles, col_tiles, count;  // count: of planes
};

template <class T>
__global__ void permute_tiled(Permutation p, Plane plane, const T* x, T* y) {
  SHARED(T, tile, [kTile][kTile + 1]);
  const int lane = threadIdx.x % kTile, depth = threadIdx.x / kTile, last = p.rank - 1;
  const int64_t tiles = plane.row_tiles * plane.col_tiles, y_stride = plane.middle * plane.cols;
  for (int64_t unit = blockIdx.x; unit < plane.count * tiles; unit += gridDim.x) {
    const int64_t index = divide(unit, tiles), at = unit - index * tiles, row_tile = divide(at, plane.col_tiles);
    const int64_t r0 = row_tile * kTile, c0 = (at - row_tile * plane.col_tiles) * kTile;
    const int64_t outer = divide(index, plane.middle);
    int64_t from = r0 + c0 * p.strides[last], rest = index;
    for (int k = last - 1; k >= 0; --k) {
      if (k == plane.in) continue;
      const int64_t next = divide(rest, p.sizes[k]);
      from += (rest - next * p.sizes[k]) * p.strides[k];
      rest = next;
    }
    const int64_t to = (outer * plane.rows + r0) * y_stride + (index - outer * plane.middle) * plane.cols + c0;
    __syncthreads();  // the previous unit's readers are done with `tile`
    for (int c = depth; c < kTile; c += kDepth)
      if (c0 + c < plane.cols && r0 + lane < plane.rows) tile[c][lane] = x[from + c * p.strides[last] + lane];
    __syncthreads();
    for (int r = depth; r < kTile; r += kDepth)
      if (r0 + r < plane.rows && c0 + lane < plane.cols) y[to + r * y_stride + lane] = tile[lane][r];
  }
}

template <class T>
void run_naive(Gpu gpu, Permutation p, const void* x, void* y) {
  launch<permute_naive<T>>(gpu, grid_over(p.numel), p, static_cast<const T*>(x), static_cast<T*>(y));
}

struct alignas(16) Bytes16 {
  uint32_t v[4];
};

// Runs that x and y share travel 16 bytes at a time: the same permutation of larger elements.
bool widen(Permutation& p, size_t element_size, const void* x, const void* y) {
  const int64_t per = 16 / static_cast<int64_t>(element_size), last = p.rank - 1;
  bool fits = aligned16(x) && aligned16(y) && p.sizes[last] % per == 0;
  for (int k = 0; k < last; ++k) fits = fits && p.strides[k] % per == 0;
  if (!fits) return false;
  p.sizes[last] /= per;
  for (int k = 0; k < last; ++k) p.strides[k] /= per;
  p.numel /= per;
  return true;
}

template <class T>
void run_tiled(Gpu gpu, Permutation p, const void* x, void* y) {
  const int last = p.rank - 1, in = p.contiguous_axis();
  if (in == last) {
    if (widen(p, sizeof(T), x, y)) return run_naive<Bytes16>(gpu, p, x, y);
    return run_naive<T>(gpu, p, x, y);
  }
  Plane plane{in, p.sizes[in], p.sizes[last], 1, cdiv(p.sizes[in], kTile), cdiv(p.sizes[last], kTile), 1};
  // In a plane of a few rows or columns most of a tile would be empty, and the caches do as well.
  if (std::min(plane.rows, plane.cols) < 8) return run_naive<T>(gpu, p, x, y);
  for (int k = in + 1; k < last; ++k) plane.middle *= p.sizes[k];
  plane.count = p.numel / (plane.rows * plane.cols);
  const int64_t units = plane.count * plane.row_tiles * plane.col_tiles;
  launch<permute_tiled<T>>(gpu, {static_cast<unsigned>(std::min<int64_t>(units, 1 << 16)), kTile * kDepth}, p, plane,
                           static_cast<const T*>(x), static_cast<T*>(y));
}

template <class T>
void run(Gpu gpu, const Permutation& p, const void* x, void* y) {
  constexpr decltype(&run_naive<T>) rungs[] = {run_naive<T>, run_tiled<T>};
  rungs[permute_rungs.pick("tiled")](gpu, p, x, y);
}

}  // namespace

template <class B>
void permute(B gpu, const Permutation& p, size_t element_size, const void* x, void* y) {
  if (p.numel == 0) return;
  switch (element_size) {
    case 1:
      return run<uint8_t>(gpu, p, x, y);
    case 2:
      return run<uint16_t>(gpu, p, x, y);
    case 4:
      return run<uint32_t>(gpu, p, x, y);
    case 8:
      return run<uint64_t>(gpu, p, x, y);
    default:
      fail("permute: elements must have 1, 2, 4 or 8 bytes, got {}", element_size);
  }
}

template void permute(Gpu, const Permutation&, size_t, const void*, void*);

}  // namespace holt
