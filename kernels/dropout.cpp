#include "kernels/dropout.h"

#include <algorithm>

#include "kernels/lanes.h"
#include "kernels/parallel.h"
#include "kernels/philox.h"

namespace holt {
namespace {

using namespace lanes;

constexpr int64_t kBlock = 512;  // elements whose bits are drawn at once: 2 KiB, in L1

// philox.h's numbers side by side, each word of a counter in the lower half of a lane: what stands above is never read.
constexpr int kWide = kLanes / 2, kTogether = 4;  // vectors that do not wait for each other
using Words = uint64_t __attribute__((vector_size(kWide * sizeof(uint64_t))));
constexpr uint64_t kLower = 0xffffffff;

// The product of the lower halves.
inline Words multiply(Words x, uint32_t by) {
#if defined(__AVX512F__)
  return reinterpret_cast<Words>(_mm512_maskz_mul_epu32(0xff, reinterpret_cast<__m512i>(x), _mm512_set1_epi64(by)));
#elif defined(__AVX2__)
  return reinterpret_cast<Words>(_mm256_mul_epu32(reinterpret_cast<__m256i>(x), _mm256_set1_epi64x(by)));
#else
  return (x & kLower) * by;
#endif
}

// Per round six instructions for a vector of four numbers each: in float that hides behind the memory, in bf16, with
// half of the bytes, it does not quite.
//
// bits[4·q + i] = philox(seed, stream, first + q).v[i]
void draw(uint64_t seed, uint64_t stream, uint64_t first, uint32_t* bits) {
  using namespace philox_constants;
  uint64_t key[kRounds][2];
  uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
  for (auto& k : key) {
    k[0] = k0, k[1] = k1;
    k0 += kStep0, k1 += kStep1;
  }
  Words ascending{}, lower{}, upper{};  // the last two: lanes of two vectors in turn
  for (int i = 0; i < kWide; ++i) {
    ascending[i] = i;
    lower[i] = i / 2 + i % 2 * kWide;
    upper[i] = lower[i] + kWide / 2;
  }
  for (int64_t q = 0; q < kBlock / 4; q += kWide * kTogether) {
    Words c0[kTogether], c1[kTogether], c2[kTogether], c3[kTogether];
#pragma GCC unroll 4
    for (int t = 0; t < kTogether; ++t) {
      c0[t] = Words{} + (first + q + t * kWide) + ascending;
      c1[t] = c0[t] >> 32;
      c2[t] = Words{} + stream;
      c3[t] = Words{} + (stream >> 32);
    }
    for (const auto& k : key)
#pragma GCC unroll 4
      for (int t = 0; t < kTogether; ++t) {
        const Words p0 = multiply(c0[t], kMultiply0), p1 = multiply(c2[t], kMultiply1);
        c0[t] = p1 >> 32 ^ c1[t] ^ k[0];
        c2[t] = p0 >> 32 ^ c3[t] ^ k[1];
        c1[t] = p1;
        c3[t] = p0;
      }
#pragma GCC unroll 4
    for (int t = 0; t < kTogether; ++t) {
      const Words low = (c0[t] & kLower) | c1[t] << 32, high = (c2[t] & kLower) | c3[t] << 32;
      const Words quads[2] = {__builtin_shuffle(low, high, lower), __builtin_shuffle(low, high, upper)};
      std::memcpy(bits + 4 * (q + t * kWide), quads, sizeof quads);
    }
  }
}

// v where the lane's bits say so, else 0.
inline double kept(const uint32_t* bits, uint32_t threshold, double v) { return *bits >> 8 >= threshold ? v : 0; }
inline Vec kept(const uint32_t* bits, uint32_t threshold, Vec v) {
  using Uints = uint32_t __attribute__((vector_size(sizeof(Vec))));
  Uints u;
  std::memcpy(&u, bits, sizeof u);
  return u >> 8 >= threshold ? v : Vec{};
}

}  // namespace

template <class B, class T>
void dropout(B, Dropout o, int64_t n, const T* x, T* y) {
  using A = acc_t<T>;
  constexpr int64_t L = lanes_of<T>;
  const uint32_t threshold = o.threshold();
  const uint64_t stream = o.stream_now();
  const A scale = static_cast<A>(o.scale());
  parallel_for((n + kBlock - 1) / kBlock, 4 * kBlock, [=](int64_t first, int64_t last) {
    alignas(64) uint32_t bits[kBlock];
    for (int64_t begin = first * kBlock; begin < std::min(n, last * kBlock); begin += kBlock) {
      draw(o.seed, stream, static_cast<uint64_t>(begin / 4), bits);
      const int64_t count = std::min(kBlock, n - begin), whole = count / L * L;
      for (int64_t i = 0; i < whole; i += L)
        store(y + begin + i, kept(bits + i, threshold, load(x + begin + i) * scale));
      if (whole < count)
        store_first(count - whole, y + begin + whole,
                    kept(bits + whole, threshold, load_first(count - whole, x + begin + whole) * scale));
    }
  });
}

#define INSTANTIATE(T) template void dropout(Cpu, Dropout, int64_t, const T*, T*);
INSTANTIATE(float)
INSTANTIATE(bf16)
INSTANTIATE(f16)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace holt
