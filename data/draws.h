// The random numbers of one thing: a function of what names it, whoever asks and when.
#pragma once
#include <cmath>
#include <cstdint>
#include <numbers>

#include "kernels/philox.h"

namespace holt::data {

/// Numbers one after the other, from (seed, stream, index) alone. `stream` tells uses of one seed apart (its upper
/// byte) and holds the epoch; `index` is a sample or a step, below 2^48.
class Draws {
 public:
  Draws(uint64_t seed, uint64_t stream, int64_t index)
      : seed_(seed), stream_(stream), index_(static_cast<uint64_t>(index) << 16) {}

  /// Uniform in [0, 1), a multiple of 2^-53.
  double uniform01() { return static_cast<double>(bits() >> 11) * 0x1p-53; }
  double uniform(double low, double high) { return low + (high - low) * uniform01(); }
  /// Uniform in 0 … n − 1; off from uniform by at most n / 2^64.
  int64_t below(int64_t n) {
    return static_cast<int64_t>((static_cast<unsigned __int128>(bits()) * static_cast<uint64_t>(n)) >> 64);
  }
  bool coin() { return bits() >> 63 != 0; }
  double normal() {  // Box–Muller
    const double radius = std::sqrt(-2 * std::log(1 - uniform01()));
    return radius * std::cos(2 * std::numbers::pi * uniform01());
  }
  /// Gamma(a, 1), a > 0 (Marsaglia & Tsang 2000).
  double gamma(double a) {
    if (a < 1) {
      const double u = 1 - uniform01();
      return gamma(a + 1) * std::pow(u, 1 / a);
    }
    const double d = a - 1.0 / 3, c = 1 / std::sqrt(9 * d);
    while (true) {
      const double x = normal(), v = std::pow(1 + c * x, 3), u = 1 - uniform01();
      if (v > 0 && std::log(u) < 0.5 * x * x + d - d * v + d * std::log(v)) return d * v;
    }
  }
  double beta(double a, double b) {
    const double x = gamma(a), y = gamma(b);
    return x + y > 0 ? x / (x + y) : 0.5;  // both underflow for tiny a and b
  }

 private:
  uint64_t bits() {
    const int half = static_cast<int>(used_ % 2);
    if (half == 0) block_ = philox(seed_, stream_, index_ | used_ / 2);
    ++used_;
    return uint64_t{block_.v[2 * half + 1]} << 32 | block_.v[2 * half];
  }

  uint64_t seed_, stream_, index_, used_ = 0;
  Philox4 block_ = {};
};

}  // namespace holt::data
