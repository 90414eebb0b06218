#include "kernels/dropout.h"

#include <algorithm>

#include "kernels/parallel.h"

namespace holt {
namespace {

constexpr int64_t kBlock = 512;  // elements whose bits are drawn at once: 2 KiB, in L1

}  // namespace

template <class B, class T>
void dropout(B, Dropout o, int64_t n, const T* x, T* y) {
  using A = acc_t<T>;
  const uint32_t threshold = o.threshold();
  const uint64_t stream = o.stream_now();
  const A scale = static_cast<A>(o.scale());
  parallel_for((n + kBlock - 1) / kBlock, 4 * kBlock, [=](int64_t first, int64_t last) {
    alignas(64) uint32_t bits[kBlock];
    for (int64_t begin = first * kBlock; begin < std::min(n, last * kBlock); begin += kBlock) {
      const uint64_t quad = static_cast<uint64_t>(begin / 4);
#pragma omp simd
      for (uint64_t q = 0; q < kBlock / 4; ++q) {
        const Philox4 r = philox(o.seed, stream, quad + q);
        bits[4 * q] = r.v[0];
        bits[4 * q + 1] = r.v[1];
        bits[4 * q + 2] = r.v[2];
        bits[4 * q + 3] = r.v[3];
      }
      const int64_t count = std::min(kBlock, n - begin);
#pragma omp simd
      for (int64_t i = 0; i < count; ++i) {
        const A scaled = static_cast<A>(x[begin + i]) * scale;  // loaded in any case: a conditional load stays scalar
        assign(y[begin + i], bits[i] >> 8 >= threshold ? scaled : A(0));
      }
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
