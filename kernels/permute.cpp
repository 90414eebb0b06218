#include "kernels/permute.h"

#include <cstring>

#include "kernels/parallel.h"

namespace holt {

Permutation::Permutation(std::span<const int64_t> x_sizes, std::span<const int> axes) {
  const int full = static_cast<int>(x_sizes.size());
  check(full <= kMaxRank && axes.size() == x_sizes.size(), "permute: {} axes of {}, at most {}", axes.size(), full,
        int64_t{kMaxRank});
  int64_t x_strides[kMaxRank], stride = 1;
  for (int i = full - 1; i >= 0; --i) {
    x_strides[i] = stride;
    stride *= x_sizes[i];
  }
  numel = stride;
  rank = 0;
  for (int axis : axes) {
    if (x_sizes[axis] == 1) continue;
    if (rank > 0 && strides[rank - 1] == x_strides[axis] * x_sizes[axis]) {
      sizes[rank - 1] *= x_sizes[axis];
      strides[rank - 1] = x_strides[axis];
    } else {
      sizes[rank] = x_sizes[axis];
      strides[rank] = x_strides[axis];
      ++rank;
    }
  }
  rank = std::max(rank, 1);
}

int Permutation::contiguous_axis() const { return static_cast<int>(std::find(strides, strides + rank, 1) - strides); }

namespace {

// Offset in x of the element of y with number `index`, counted over the axes but `skip_a` and `skip_b`.
int64_t offset_of(const Permutation& p, int64_t index, int skip_a, int skip_b) {
  int64_t offset = 0;
  for (int k = p.rank - 1; k >= 0; --k) {
    if (k == skip_a || k == skip_b) continue;
    offset += index % p.sizes[k] * p.strides[k];
    index /= p.sizes[k];
  }
  return offset;
}

void copy_runs(const Permutation& p, size_t size, const char* x, char* y) {
  const int last = p.rank - 1;
  const int64_t run = p.sizes[last];
  const auto copy = [=, &p](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r)
      std::memcpy(y + r * run * size, x + offset_of(p, r, last, last) * size, run * size);
  };
  if (p.rank > 1) return parallel_for(p.numel / run, run, copy);
  parallel_for(run, 1, [=](int64_t begin, int64_t end) {  // nothing moves
    std::memcpy(y + begin * size, x + begin * size, (end - begin) * size);
  });
}

// y[r][c] = x[c][r] for 8 × 8 elements in registers: three rounds of interleaving rows i and i + 4.
template <class T>
void transpose8(const T* x, int64_t x_stride, T* y, int64_t y_stride) {
  typedef T V __attribute__((vector_size(8 * sizeof(T))));
  V a[8], b[8];
  for (int i = 0; i < 8; ++i) std::memcpy(&a[i], x + i * x_stride, sizeof(V));
  const auto interleave = [](const V(&from)[8], V(&to)[8]) {
    for (int i = 0; i < 4; ++i) {
      to[2 * i] = __builtin_shufflevector(from[i], from[i + 4], 0, 8, 1, 9, 2, 10, 3, 11);
      to[2 * i + 1] = __builtin_shufflevector(from[i], from[i + 4], 4, 12, 5, 13, 6, 14, 7, 15);
    }
  };
  interleave(a, b);
  interleave(b, a);
  interleave(a, b);
  for (int i = 0; i < 8; ++i) std::memcpy(y + i * y_stride, &b[i], sizeof(V));
}

// The plane of y's last axis and of x's contiguous one, tile by tile. A tile is read along x into the first-level cache
// and written along y, so that each line of memory is touched once, also where rows are a power of two apart.
template <class T>
void transpose_tiles(const Permutation& p, const T* x, T* y) {
  constexpr int64_t kTile = sizeof(T) < 8 ? 64 : 32;
  const int last = p.rank - 1, in = p.contiguous_axis();
  const int64_t rows = p.sizes[in], cols = p.sizes[last], x_stride = p.strides[last];
  int64_t y_stride = 1;  // of axis `in`
  for (int k = in + 1; k < p.rank; ++k) y_stride *= p.sizes[k];
  const int64_t row_tiles = (rows + kTile - 1) / kTile, col_tiles = (cols + kTile - 1) / kTile;
  const int64_t middle = y_stride / cols;  // elements of y's axes between `in` and the last
  const int64_t planes = p.numel / (rows * cols);
  parallel_for(planes * row_tiles * col_tiles, kTile * kTile, [=, &p](int64_t begin, int64_t end) {
    alignas(64) T tile[kTile][kTile];
    for (int64_t t = begin; t < end; ++t) {
      const int64_t plane = t / (row_tiles * col_tiles);
      const int64_t r0 = t / col_tiles % row_tiles * kTile, c0 = t % col_tiles * kTile;
      const int64_t height = std::min(kTile, rows - r0), width = std::min(kTile, cols - c0);
      const T* from = x + offset_of(p, plane, in, last) + r0 + c0 * x_stride;
      T* to = y + plane / middle * rows * y_stride + plane % middle * cols + r0 * y_stride + c0;
      for (int64_t c = 0; c < width; ++c) std::copy_n(from + c * x_stride, height, tile[c]);
      const int64_t whole = height / 8 * 8;
      for (int64_t r = 0; r < whole; r += 8) {
        int64_t c = 0;
        for (; c + 8 <= width; c += 8) transpose8(&tile[c][r], kTile, to + r * y_stride + c, y_stride);
        for (; c < width; ++c)
          for (int64_t k = r; k < r + 8; ++k) to[k * y_stride + c] = tile[c][k];
      }
      for (int64_t r = whole; r < height; ++r)
        for (int64_t c = 0; c < width; ++c) to[r * y_stride + c] = tile[c][r];
    }
  });
}

}  // namespace

template <class B>
void permute(B, const Permutation& p, size_t element_size, const void* x, void* y) {
  if (p.numel == 0) return;
  if (p.contiguous_axis() == p.rank - 1)
    return copy_runs(p, element_size, static_cast<const char*>(x), static_cast<char*>(y));
  const auto as = [&]<class T>(T) { transpose_tiles(p, static_cast<const T*>(x), static_cast<T*>(y)); };
  switch (element_size) {
    case 1:
      return as(uint8_t{});
    case 2:
      return as(uint16_t{});
    case 4:
      return as(uint32_t{});
    case 8:
      return as(uint64_t{});
    default:
      fail("permute: elements must have 1, 2, 4 or 8 bytes, got {}", element_size);
  }
}

template void permute(Cpu, const Permutation&, size_t, const void*, void*);

}  // namespace holt
