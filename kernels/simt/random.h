// The emulator's dice: small, fast, and the same everywhere.
#pragma once
#include <cstdint>

namespace holt::simt {

/// splitmix64's finaliser: every bit of the result depends on every bit of x.
constexpr uint64_t mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

class Random {
 public:
  explicit Random(uint64_t seed = 0) : state_(mix(seed) | 1) {}
  /// Uniform in [0, n).
  unsigned below(unsigned n) {
    state_ ^= state_ >> 12;  // xorshift64*
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return static_cast<unsigned>((((state_ * 0x2545f4914f6cdd1du) >> 32) * n) >> 32);
  }

 private:
  uint64_t state_;
};

}  // namespace holt::simt
