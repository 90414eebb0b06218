// Philox4x32-10 (Salmon et al. 2011): random numbers as a pure function of (key, counter), so that a kernel needs no
// state and cpu, simt and cuda draw the same bits whatever the order in which they run.
#pragma once
#include <cstdint>

#include "kernels/dtype.h"

namespace holt {

struct Philox4 {
  uint32_t v[4];
};

namespace philox_constants {  // of the paper: two multipliers, and the steps of the two halves of the key
inline constexpr uint32_t kMultiply0 = 0xD2511F53, kMultiply1 = 0xCD9E8D57, kStep0 = 0x9E3779B9, kStep1 = 0xBB67AE85;
inline constexpr int kRounds = 10;
}  // namespace philox_constants

/// 128 random bits for (seed, stream, index): `seed` is the key, `stream` tells apart uses of one seed, `index` counts.
HOLT_HD inline Philox4 philox(uint64_t seed, uint64_t stream, uint64_t index) {
  uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
  uint32_t c0 = static_cast<uint32_t>(index), c1 = static_cast<uint32_t>(index >> 32);
  uint32_t c2 = static_cast<uint32_t>(stream), c3 = static_cast<uint32_t>(stream >> 32);
  using namespace philox_constants;
  for (int round = 0; round < kRounds; ++round) {
    const uint64_t p0 = uint64_t{kMultiply0} * c0, p1 = uint64_t{kMultiply1} * c2;
    c0 = static_cast<uint32_t>(p1 >> 32) ^ c1 ^ k0;
    c1 = static_cast<uint32_t>(p1);
    c2 = static_cast<uint32_t>(p0 >> 32) ^ c3 ^ k1;
    c3 = static_cast<uint32_t>(p0);
    k0 += kStep0;
    k1 += kStep1;
  }
  return {{c0, c1, c2, c3}};
}

/// Uniform in [0, 1), a multiple of 2^-24: exact in float, the same on every device.
HOLT_HD inline float uniform01(uint32_t bits) { return static_cast<float>(bits >> 8) * 0x1p-24f; }

}  // namespace holt
