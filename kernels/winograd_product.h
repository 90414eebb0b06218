// What the passes of winograd.h share: the matrix product of one place of the tiles, and the weights' transform.
#pragma once
#include "kernels/winograd_transforms.h"

namespace holt::winograd {

inline constexpr int kRows = kLanes == 16 ? 12 : 6, kVectors = 2;  // sums in registers: 24 of 32, or 12 of 16
inline constexpr int64_t kColumns = kLanes * kVectors;             // output channels of a panel of U

/// U of one panel of output channels: [36][channels][kColumns].
inline Planes weight_planes(int64_t channels) { return {channels, kColumns, kColumns}; }

/// m[Rows][kColumns] (+)= a[Rows][pieces·steps]·b[pieces·steps][kColumns], whose sums stay in registers; step k of row
/// r of a piece is at a[r·row + k·step], the pieces are `jump` apart. For each step two loads of b and Rows of a for
/// 2·Rows multiply-adds. (With small_product.h's tiles, for which rows would lie whole, the forward pass was 3 to 8 %
/// slower, the weight gradient 5 to 20 %.)
template <int Rows, int64_t row, int64_t step>
void product(int64_t pieces, int64_t steps, const float* a, int64_t jump, const float* b, bool add, float* m) {
  Vec sums[Rows][kVectors];
#pragma GCC unroll 12
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 2
    for (int q = 0; q < kVectors; ++q) sums[r][q] = Vec{};
  for (; pieces > 0; --pieces, a += jump)
    for (int64_t k = 0; k < steps; ++k, b += kColumns) {
      Vec columns[kVectors];
#pragma GCC unroll 2
      for (int q = 0; q < kVectors; ++q) columns[q] = load(b + q * kLanes);
#pragma GCC unroll 12
      for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 2
        for (int q = 0; q < kVectors; ++q) sums[r][q] += a[r * row + k * step] * columns[q];
    }
#pragma GCC unroll 12
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 2
    for (int q = 0; q < kVectors; ++q) {
      float* const to = m + r * kColumns + q * kLanes;
      store(to, add ? load(to) + sums[r][q] : sums[r][q]);
    }
}

/// Weights [cout][3][3][cin] as a pass reads them: from `in` to `out` channels. Turned (for the data gradient) these
/// are cout and cin, and the window stands on its head.
template <class T>
struct WeightSource {
  const T* w;
  int64_t cin, cout;
  bool turned;
};

/// U of input channels [c, c + kLanes) and output channels [o, o + kColumns), into their panel.
template <class T>
void transform_weights(const WeightSource<T>& from, int64_t o, int64_t c, float* panel) {
  constexpr int kTaps = kWindow * kWindow;
  alignas(64) float window[kTaps][kLanes][kColumns];  // [tap][input][output]
  if (from.turned) {
    for (int64_t k = 0; k < kLanes; ++k)
      for (int tap = 0; tap < kTaps; ++tap) {
        const T* const row = from.w + ((c + k) * kTaps + kTaps - 1 - tap) * from.cin + o;
        for (int q = 0; q < kVectors; ++q) store(window[tap][k] + q * kLanes, load(row + q * kLanes));
      }
  } else {
    for (int64_t j = 0; j < kColumns; ++j)
      for (int tap = 0; tap < kTaps; ++tap) {
        const T* const row = from.w + ((o + j) * kTaps + tap) * from.cin + c;
        for (int64_t k = 0; k < kLanes; ++k) window[tap][k][j] = float(row[k]);
      }
  }
  const int64_t plane = weight_planes(from.turned ? from.cout : from.cin).plane();
  for (int64_t k = 0; k < kLanes; ++k)
    for (int q = 0; q < kVectors; ++q) {
      Vec taps[kWindow][kWindow], u[kIn][kIn];
#pragma GCC unroll 9
      for (int tap = 0; tap < kTaps; ++tap) taps[tap / kWindow][tap % kWindow] = load(window[tap][k] + q * kLanes);
      both_ways<weight_transform>(taps, u);
#pragma GCC unroll 36
      for (int i = 0; i < kPlaces; ++i) store(panel + i * plane + (c + k) * kColumns + q * kLanes, u[i / kIn][i % kIn]);
    }
}

}  // namespace holt::winograd
