#include "kernels/simt/mma.h"

#include "kernels/dtype.h"
#include "kernels/simt/sanitizers.h"
#include "kernels/simt/scheduler.h"

namespace holt::simt {
namespace {

struct Fragments {
  float* d;
  const uint32_t* a;
  const uint32_t* b;
};

// Two 16-bit numbers in one register, the lower first.
template <class T>
void unpack(uint32_t pair, float& low, float& high) {
  T x;
  x.bits = static_cast<uint16_t>(pair);
  low = x;
  x.bits = static_cast<uint16_t>(pair >> 16);
  high = x;
}

template <class T>
void multiply(unsigned, void* const* lanes) {
  float a[16][16], b[8][16];  // b by columns
  for (int lane = 0; lane < 32; ++lane) {
    const Fragments& f = *static_cast<const Fragments*>(lanes[lane]);
    const int g = lane / 4, t = lane % 4;
    for (int half = 0; half < 2; ++half) {
      const int k = 2 * t + 8 * half;
      unpack<T>(f.a[2 * half], a[g][k], a[g][k + 1]);
      unpack<T>(f.a[2 * half + 1], a[g + 8][k], a[g + 8][k + 1]);
      unpack<T>(f.b[half], b[g][k], b[g][k + 1]);
    }
  }
  for (int lane = 0; lane < 32; ++lane) {
    const Fragments& f = *static_cast<const Fragments*>(lanes[lane]);
    const int g = lane / 4, t = lane % 4;
    for (int i = 0; i < 4; ++i) {
      const int row = g + 8 * (i / 2), column = 2 * t + i % 2;
      float sum = f.d[i];
      for (int k = 0; k < 16; ++k) sum += a[row][k] * b[column][k];
      f.d[i] = sum;
    }
  }
}

template <class T>
void mma(const char* primitive, float* d, const uint32_t* a, const uint32_t* b, Site site) {
  const RaceBlind blind;
  Fragments f{d, a, b};
  Scheduler::inside(primitive, site).meet(primitive, 0xffffffffu, &f, multiply<T>, false, site);
}

struct Given {
  uint64_t value;
  uint64_t* values;
};

void give_all(unsigned, void* const* lanes) {
  for (int to = 0; to < 32; ++to)
    for (int from = 0; from < 32; ++from)
      static_cast<const Given*>(lanes[to])->values[from] = static_cast<const Given*>(lanes[from])->value;
}

}  // namespace

int exchange_all(const char* primitive, uint64_t value, uint64_t (&values)[32], Site site) {
  const RaceBlind blind;
  Given given{value, values};
  Scheduler& s = Scheduler::inside(primitive, site);
  s.meet(primitive, 0xffffffffu, &given, give_all, false, site);
  return static_cast<int>(s.thread_number() % 32);
}

void mma_bf16_16x8x16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], Site site) {
  mma<bf16>("mma_bf16_16x8x16", d, a, b, site);
}

void mma_f16_16x8x16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], Site site) {
  mma<f16>("mma_f16_16x8x16", d, a, b, site);
}

}  // namespace holt::simt
