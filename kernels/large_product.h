// Products of large matrices on the CPU whose operands need not lie as matrices: y[m,n] = Σ_k a[m,k]·b[k,n].
//
// An operand is a source of rows: fill(row, first, count, to) writes `count` numbers of a row, as floats. A matrix
// copies or widens them; the windows of a convolution gather them from an image (kernels/window_product.cpp), so that
// what im2col would write is never in memory. They come block after block into the caches, for the tiles of
// small_product.h:
//
//   for columns of y (kWide)                 each thread has a rectangle of y of its own
//     for steps along k (kDeep)              b[deep, wide], 2 MB: third-level cache
//       for rows of y (kHigh)                a[high, deep], 120 KB: second-level cache
//         small::product                     a panel of b, 16 KB: first-level cache; 6 × 2 vectors of sums: registers
//
// Flops: 2·m·n·k; each number of a is packed n/kWide times, of b m/(m of a rectangle) times. Numerics: an element of y
// is summed in float along k, in order, whatever the number of threads.
//
// oneDNN's products of matrices are as fast with AVX2 and faster with AVX-512: this is for operands that are none.
#pragma once
#include "kernels/rooms.h"
#include "kernels/small_product.h"

namespace holt::large {

inline constexpr int64_t kHigh = 120, kDeep = 256, kWide = 2048;
inline constexpr int64_t kLanes = small::kLanes<float>, kPanel = small::kTileCols<float>;

/// The rows of a row-major matrix.
template <class T>
struct Matrix {
  const T* data;
  int64_t pitch;
  void fill(int64_t row, int64_t first, int64_t count, float* to) const {
    holt::detail::widen(count, data + row * pitch + first, to);
  }
};

/// An operand; `along_k`: its rows run along k (a as it is written above), or else along m or n.
template <class Rows>
struct Operand {
  Rows rows;
  bool along_k;
};

namespace detail {

// a[i…i+high, k…k+deep] in panels of kTileRows rows: a tile reads its own from one end to the other. Rows beyond are
// what was there before, and nobody reads them.
template <class Rows>
void pack_left(const Operand<Rows>& a, int64_t i, int64_t high, int64_t k, int64_t deep, float* to) {
  constexpr int64_t R = small::kTileRows;
  // With wide vectors R numbers are written as one, whose lanes beyond them the next one writes over.
  constexpr bool kVectors = R <= kLanes;
  alignas(64) float group[std::max(R * kDeep, kHigh) + kLanes];
  if (!a.along_k) {
    for (int64_t d = 0; d < deep; ++d) {
      a.rows.fill(k + d, i, high, group);
      if (kVectors && d * R + kLanes <= deep * R)
        for (int64_t r = 0; r < high; r += R) small::store(to + r * deep + d * R, small::load(group + r));
      else
        for (int64_t r = 0; r < high; r += R) std::copy_n(group + r, R, to + r * deep + d * R);
    }
    return;
  }
  for (int64_t r = 0; r < high; r += R, to += R * deep) {
    for (int64_t q = 0; q < std::min(R, high - r); ++q) a.rows.fill(i + r + q, k, deep, group + q * kDeep);
    if constexpr (kVectors) {
      for (int64_t d = 0; d < deep; d += kLanes) {
        small::vector_t<float> block[kLanes] = {};
#pragma GCC unroll 16
        for (int64_t q = 0; q < R; ++q) block[q] = small::load(group + q * kDeep + d);
        small::detail::transpose<float>(block);
        for (int64_t q = 0; q < std::min(kLanes, deep - d); ++q) small::store(to + (d + q) * R, block[q]);
      }
    } else {
      for (int64_t d = 0; d < deep; ++d)
        for (int64_t q = 0; q < R; ++q) to[d * R + q] = group[q * kDeep + d];
    }
  }
}

// b[k…k+deep, j…j+wide], in panels of kPanel columns; columns beyond are zero.
template <class Rows>
void pack_right(const Operand<Rows>& b, int64_t k, int64_t deep, int64_t j, int64_t wide, float* to) {
  alignas(64) float group[kLanes * std::max(kDeep, kWide / kLanes + kPanel)];
  if (b.along_k) {
    for (int64_t first = 0; first < small::round_up(wide, kPanel); first += kLanes) {
      for (int64_t r = 0; r < kLanes; ++r)
        if (first + r < wide)
          b.rows.fill(j + first + r, k, deep, group + r * kDeep);
        else
          std::fill_n(group + r * kDeep, deep, 0.f);
      float* const panel = to + first / kPanel * kPanel * deep + first % kPanel;
      for (int64_t d = 0; d < deep; d += kLanes) {
        small::vector_t<float> block[kLanes];
#pragma GCC unroll 16
        for (int64_t r = 0; r < kLanes; ++r) block[r] = small::load(group + r * kDeep + d);
        small::detail::transpose<float>(block);
        const int64_t there = std::min(kLanes, deep - d);
        for (int64_t r = 0; r < there; ++r) small::store(panel + (d + r) * kPanel, block[r]);
      }
    }
    return;
  }
  const int64_t whole = small::round_up(wide, kPanel);
  for (int64_t d = 0; d < deep; ++d) {
    b.rows.fill(k + d, j, wide, group);
    std::fill(group + wide, group + whole, 0.f);
    for (int64_t c = 0; c < whole; c += kPanel)
      for (int64_t v = 0; v < kPanel; v += kLanes)
        small::store(to + c * deep + d * kPanel + v, small::load(group + c + v));
  }
}

// Rows [i, i_end) and columns [j, j_end) of y: what one thread does. Its numbers are those of product().
template <class T, class A, class B, class Finish>
class Rectangle {
 public:
  // Floats that it needs beside y [·, pitch], for at most m rows and n columns.
  static int64_t room(int64_t m, int64_t n, int64_t k, int64_t pitch) {
    const int64_t wide = small::round_up(std::min(n, kWide), kPanel), rows = k <= kDeep ? std::min(m, kHigh) : m;
    return kLeft + kDeep * wide + (direct(pitch) ? 0 : rows * wide);
  }

  Rectangle(const Operand<A>& a, const Operand<B>& b, int64_t k, T* y, int64_t pitch, const Finish& finish, float* room)
      : a_(a), b_(b), k_(k), y_(y), pitch_(pitch), finish_(finish), room_(room) {}

  void run(int64_t i, int64_t i_end, int64_t j, int64_t j_end) {
    for (; j < j_end; j += kWide) columns(i, i_end, j, std::min(kWide, j_end - j));
  }

 private:
  static constexpr int64_t kLeft = kHigh * kDeep + kLanes;  // the last vector's lanes beyond its rows

  // Whether sums are formed in y itself: floats, of which a tile, writing whole vectors, writes none beyond a row.
  static bool direct(int64_t pitch) { return std::is_same_v<T, float> && pitch % kLanes == 0; }

  // Where the sums of row r, from column j on, are formed, and how far its rows are apart: in y, or from row `at` of
  // `room` on.
  std::pair<float*, int64_t> sums(int64_t r, int64_t at, int64_t j, float* room, int64_t pitch) const {
    if constexpr (std::is_same_v<T, float>)
      if (direct(pitch_)) return {y_ + r * pitch_ + j, pitch_};
    return {room + at * pitch, pitch};
  }

  void columns(int64_t i, int64_t i_end, int64_t j, int64_t wide) {
    const int64_t whole = small::round_up(wide, kPanel);
    float *const left = room_, *const right = left + kLeft;
    for (int64_t k = 0; k < k_; k += kDeep) {
      const int64_t deep = std::min(kDeep, k_ - k);
      pack_right(b_, k, deep, j, wide, right);
      for (int64_t r = i; r < i_end; r += kHigh) {
        const int64_t high = std::min(kHigh, i_end - r);
        const auto [c, pitch] = sums(r, k_ <= kDeep ? 0 : r - i, j, right + kDeep * whole, whole);
        pack_left(a_, r, high, k, deep, left);
        tiles(high, wide, deep, left, right, c, pitch, k > 0);
        if (k + deep == k_) finish(r, high, j, wide, c, pitch);
      }
    }
  }

  void tiles(int64_t high, int64_t wide, int64_t deep, const float* left, const float* right, float* c, int64_t pitch,
             bool add) const {
    constexpr int64_t R = small::kTileRows;
    for (int64_t q = 0; q < wide; q += kPanel)
      for (int64_t p = 0; p < high; p += R) {
        for (int64_t next = p + R; next < std::min(high, p + 2 * R); ++next)
          __builtin_prefetch(c + next * pitch + q, 1);  // y is not in a near cache
        small::product<float>(std::min(R, high - p), std::min(kPanel, wide - q), deep, {left + p * deep, 1, R},
                              {right + q * deep, kPanel, 0}, c + p * pitch + q, pitch, add);
      }
  }

  void finish(int64_t r, int64_t high, int64_t j, int64_t wide, float* c, int64_t pitch) const {
    for (int64_t q = 0; q < high; ++q, c += pitch) {
      finish_(r + q, j, wide, c);
      T* const to = y_ + (r + q) * pitch_ + j;
      if constexpr (!std::is_same_v<T, float>)
        holt::detail::narrow(wide, c, to);
      else if (to != c)
        std::copy_n(c, wide, to);
    }
  }

  const Operand<A>& a_;
  const Operand<B>& b_;
  int64_t k_;
  T* y_;
  int64_t pitch_;
  const Finish& finish_;
  float* room_;
};

}  // namespace detail

/// y[m,n] = a·b; finish(row, first column, columns, sums) may change sums before they are rounded to T.
template <class A, class B, class T, class Finish>
void product(int64_t m, int64_t n, int64_t k, const Operand<A>& a, const Operand<B>& b, T* y, const Finish& finish) {
  // A grid of rectangles, as square as may be: what is packed is their circumference.
  const int64_t threads = threads_for(static_cast<int64_t>(2.0 * double(m) * double(n) * double(k) / 16));
  int64_t down = 1;
  const auto around = [&](int64_t d) { return double(m) / double(d) + double(n) * double(d) / double(threads); };
  for (int64_t d = 2; d <= threads; ++d)
    if (threads % d == 0 && around(d) < around(down)) down = d;
  const int64_t across = threads / down, unit = small::kTileRows;
  const auto cut = [](int64_t size, int64_t unit, int64_t part, int64_t parts) {
    return std::min(size, (size + unit - 1) / unit * part / parts * unit);
  };
  using Part = detail::Rectangle<T, A, B, Finish>;
  const Rooms<float> rooms(Part::room(m / down + 2 * unit, n / across + 2 * kPanel, k, n));
  parallel_for(threads, kSerialWork, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const int64_t p = t / across, q = t % across;
      const int64_t i = cut(m, unit, p, down), i_end = cut(m, unit, p + 1, down), j = cut(n, kPanel, q, across),
                    j_end = cut(n, kPanel, q + 1, across);
      if (i < i_end && j < j_end) Part(a, b, k, y, n, finish, rooms.own()).run(i, i_end, j, j_end);
    }
  });
}

}  // namespace holt::large
