// Winograd's transforms for F(4×4, 3×3) on vectors of channels, and where the tiles of an image lie. See winograd.h.
//
// Multiplying polynomials by their values at the points 0, ±a, ±b (a = √½, b = √2) and ∞ gives, with
// m(x) = x(x² − a²)(x² − b²) = x⁵ − 2.5x³ + x:
//
//   Aᵀ  column of point p: (1, p, p², p³)                  ∞: (0, 0, 0, 1)
//   Bᵀ  row of point p: the coefficients of m(x)/(x − p)   ∞: those of m(x)
//   G   row of point p: (1, p, p²)/Π_{q≠p}(p − q)          ∞: (0, 0, 1)
//
// Each is applied to columns, then to rows; sums and differences of ±p are formed once.
#pragma once
#include <algorithm>
#include <cstring>

#include "kernels/lanes.h"

namespace holt::winograd {

// Channels side by side.
using lanes::kLanes, lanes::Vec, lanes::load, lanes::store;

inline constexpr int kIn = 6, kOut = 4, kPlaces = kIn * kIn, kWindow = 3;  // of a tile: inputs, outputs, products

inline constexpr float kA = 0x1.6a09e6p-1f, kB = 0x1.6a09e6p+0f;  // √½, √2

/// t = Bᵀ·d
inline void input_transform(const Vec (&d)[kIn], Vec (&t)[kIn]) {
  const Vec even_a = d[4] - 2 * d[2], odd_a = d[3] - 2 * d[1];
  const Vec even_b = d[4] - 0.5f * d[2], odd_b = d[3] - 0.5f * d[1];
  t[0] = d[0] - 2.5f * d[2] + d[4];
  t[1] = even_a + kA * odd_a;
  t[2] = even_a - kA * odd_a;
  t[3] = even_b + kB * odd_b;
  t[4] = even_b - kB * odd_b;
  t[5] = d[1] - 2.5f * d[3] + d[5];
}

/// y = Aᵀ·m
inline void output_transform(const Vec (&m)[kIn], Vec (&y)[kOut]) {
  const Vec sum_a = m[1] + m[2], dif_a = m[1] - m[2], sum_b = m[3] + m[4], dif_b = m[3] - m[4];
  y[0] = m[0] + (sum_a + sum_b);
  y[1] = kA * dif_a + kB * dif_b;
  y[2] = 0.5f * sum_a + 2 * sum_b;
  y[3] = kA / 2 * dif_a + (2 * kB * dif_b + m[5]);
}

/// z = A·y, the adjoint of output_transform
inline void output_adjoint(const Vec (&y)[kOut], Vec (&z)[kIn]) {
  const Vec even_a = y[0] + 0.5f * y[2], odd_a = y[1] + 0.5f * y[3];
  const Vec even_b = y[0] + 2 * y[2], odd_b = y[1] + 2 * y[3];
  z[0] = y[0];
  z[1] = even_a + kA * odd_a;
  z[2] = even_a - kA * odd_a;
  z[3] = even_b + kB * odd_b;
  z[4] = even_b - kB * odd_b;
  z[5] = y[3];
}

/// u = G·w
inline void weight_transform(const Vec (&w)[kWindow], Vec (&u)[kIn]) {
  const Vec even_a = (w[0] + 0.5f * w[2]) * (-1 / 1.5f), odd_a = w[1] * (-kA / 1.5f);
  const Vec even_b = (w[0] + 2 * w[2]) * (1 / 6.f), odd_b = w[1] * (kB / 6);
  u[0] = w[0];
  u[1] = even_a + odd_a;
  u[2] = even_a - odd_a;
  u[3] = even_b + odd_b;
  u[4] = even_b - odd_b;
  u[5] = w[2];
}

/// w = Gᵀ·u, the adjoint of weight_transform
inline void weight_adjoint(const Vec (&u)[kIn], Vec (&w)[kWindow]) {
  const Vec sum_a = u[1] + u[2], sum_b = u[3] + u[4];
  w[0] = u[0] + (sum_b * (1 / 6.f) - sum_a * (1 / 1.5f));
  w[1] = (u[3] - u[4]) * (kB / 6) - (u[1] - u[2]) * (kA / 1.5f);
  w[2] = u[5] + (sum_b - sum_a) * (1 / 3.f);
}

/// to[rows of the result][columns of the result] = F·from·Fᵀ for one of the transforms above.
template <auto F, int From, int To>
void both_ways(const Vec (&from)[From][From], Vec (&to)[To][To]) {
  Vec half[To][From];
#pragma GCC unroll 6
  for (int s = 0; s < From; ++s) {
    Vec column[From], done[To];
#pragma GCC unroll 6
    for (int r = 0; r < From; ++r) column[r] = from[r][s];
    F(column, done);
#pragma GCC unroll 6
    for (int r = 0; r < To; ++r) half[r][s] = done[r];
  }
#pragma GCC unroll 6
  for (int r = 0; r < To; ++r) F(half[r], to[r]);
}

/// The tiles of n output images of h × w: ⌈h/4⌉·⌈w/4⌉ each, the last of which may reach beyond it.
struct Tiles {
  int64_t n, h, w;
  int64_t down() const { return (h + kOut - 1) / kOut; }
  int64_t across() const { return (w + kOut - 1) / kOut; }
  int64_t count() const { return n * down() * across(); }
};

inline constexpr int64_t kAhead = 2;  // tiles: a pixel from beyond the cache takes about that long

/// The first row and column of a tile's window in its image, which may lie outside.
struct Place {
  int64_t image, row, column;
  Place(const Tiles& t, int64_t tile, int64_t up, int64_t left)
      : image(tile / t.across() / t.down()),
        row(tile / t.across() % t.down() * kOut - up),
        column(tile % t.across() * kOut - left) {}
};

/// `Size`² pixels of an image [n, h, w, channels] from a place on; outside of it everything is 0.
template <int Size, class T>
class Window {
 public:
  Window(const T* images, int64_t h, int64_t w, int64_t channels, Place at) {
    inside_ = at.row >= 0 && at.column >= 0 && at.row + Size <= h && at.column + Size <= w;
    for (int i = 0; i < Size; ++i) {
      const int64_t a = at.row + i, b = at.column + i;
      rows_[i] = images + (at.image * h + std::clamp<int64_t>(a, 0, h - 1)) * w * channels;
      columns_[i] = std::clamp<int64_t>(b, 0, w - 1) * channels;
      row_inside_[i] = a >= 0 && a < h;
      column_inside_[i] = b >= 0 && b < w;
    }
  }
  /// Asks for channels [c, c + kLanes) of the columns from `from` on, which the tile before does not have.
  void fetch(int64_t c, int from) const {
#pragma GCC unroll 6
    for (int r = 0; r < Size; ++r)
#pragma GCC unroll 6
      for (int s = from; s < Size; ++s) __builtin_prefetch(rows_[r] + columns_[s] + c);
  }
  /// Channels [c, c + kLanes) of all pixels.
  void read(int64_t c, Vec (&d)[Size][Size]) const {
    if (inside_) {
#pragma GCC unroll 6
      for (int r = 0; r < Size; ++r)
#pragma GCC unroll 6
        for (int s = 0; s < Size; ++s) d[r][s] = load(rows_[r] + columns_[s] + c);
    } else {
      for (int r = 0; r < Size; ++r)
        for (int s = 0; s < Size; ++s)
          d[r][s] = row_inside_[r] && column_inside_[s] ? load(rows_[r] + columns_[s] + c) : Vec{};
    }
  }

 private:
  const T* rows_[Size];
  int64_t columns_[Size];
  bool inside_, row_inside_[Size], column_inside_[Size];
};

/// V or Z: for each of the 36 places [channels / width][rows][width] floats. The planes are a line more than that
/// apart, or all 36 lines of a tile would fall into one set of the cache.
struct Planes {
  int64_t rows, channels, width;
  int64_t panel() const { return rows * width; }
  int64_t plane() const { return rows * channels + kLanes; }
  int64_t size() const { return kPlaces * plane(); }
};

/// Row `row` of V or Z: F of all channels of a tile's window. The pixels of `next`, a window that comes soon, are asked
/// for meanwhile: they are beyond the cache.
template <auto F, int Size, class T>
void transform_window(const Window<Size, T>& window, const Window<Size, T>& next, const Planes& planes, int64_t row,
                      float* to) {
  for (int64_t c = 0; c < planes.channels; c += kLanes) {
    next.fetch(c, Size - kOut);
    Vec d[Size][Size], t[kIn][kIn];
    window.read(c, d);
    both_ways<F>(d, t);
    float* const at = to + c / planes.width * planes.panel() + row * planes.width + c % planes.width;
#pragma GCC unroll 36
    for (int i = 0; i < kPlaces; ++i) store(at + i * planes.plane(), t[i / kIn][i % kIn]);
  }
}

}  // namespace holt::winograd
