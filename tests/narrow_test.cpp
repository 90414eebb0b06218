#include "kernels/narrow.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace holt {
namespace {

// widen() and narrow() give the bits of dtype.h's conversions, whichever instructions they use. A NaN need only stay
// one of the same sign: processors differ in what they keep of its payload.
template <class T>
uint16_t bits_of(T x) {
  return std::bit_cast<uint16_t>(x);
}
bool same(float a, float b) {
  return std::isnan(a) ? std::isnan(b) && std::signbit(a) == std::signbit(b)
                       : std::bit_cast<uint32_t>(a) == std::bit_cast<uint32_t>(b);
}

template <class T>
void expect_widened() {
  std::vector<T> x(1 << 16);
  for (uint32_t i = 0; i < x.size(); ++i) x[i] = std::bit_cast<T>(static_cast<uint16_t>(i));
  std::vector<float> y(x.size());
  for (int64_t n : {0, 1, 15, 16, 17, 1 << 16}) {
    std::fill(y.begin(), y.end(), -123.0f);
    EXPECT_EQ(widen(n, x.data(), y.data()), y.data());
    for (int64_t i = 0; i < n; ++i) ASSERT_TRUE(same(y[i], static_cast<float>(x[i]))) << i;
    if (n < 1 << 16) { EXPECT_EQ(y[n], -123.0f); }
  }
}
TEST(Narrow, WidensBf16) { expect_widened<bf16>(); }
TEST(Narrow, WidensF16) { expect_widened<f16>(); }

// Every 97th float, and those around each rounding boundary of the 16-bit types' largest and smallest values.
template <class T>
void expect_narrowed() {
  std::vector<float> x;
  for (uint64_t u = 0; u < uint64_t{1} << 32; u += 97) {
    x.push_back(std::bit_cast<float>(static_cast<uint32_t>(u)));
    if (x.size() < 1000003 && u + 97 < uint64_t{1} << 32) continue;
    std::vector<T> y(x.size());
    narrow(static_cast<int64_t>(x.size()), x.data(), y.data());
    for (size_t i = 0; i < x.size(); ++i)
      ASSERT_TRUE(std::isnan(x[i]) ? same(static_cast<float>(y[i]), x[i]) : bits_of(y[i]) == bits_of(T(x[i])))
          << x[i] << " " << bits_of(y[i]) << " " << bits_of(T(x[i]));
    x.clear();
  }
  for (uint32_t top = 0; top < 1 << 16; ++top)  // ties, and one step off them
    for (uint32_t low : {0x7fffu, 0x8000u, 0x8001u, 0x0fffu, 0x1000u, 0x1001u})
      x.push_back(std::bit_cast<float>(top << 16 | low));
  std::vector<T> y(x.size());
  narrow(static_cast<int64_t>(x.size()), x.data(), y.data());
  for (size_t i = 0; i < x.size(); ++i)
    ASSERT_TRUE(std::isnan(x[i]) ? same(static_cast<float>(y[i]), x[i]) : bits_of(y[i]) == bits_of(T(x[i])))
        << x[i] << " " << bits_of(y[i]) << " " << bits_of(T(x[i]));
  std::vector<T> guarded(40, T(7.0f));
  narrow(33, x.data(), guarded.data());
  for (size_t i = 33; i < guarded.size(); ++i) EXPECT_EQ(static_cast<float>(guarded[i]), 7.0f);
}
TEST(Narrow, NarrowsToBf16) { expect_narrowed<bf16>(); }
TEST(Narrow, NarrowsToF16) { expect_narrowed<f16>(); }

TEST(Narrow, FloatAndDoubleNeedNoBuffer) {
  float x[3] = {1, 2, 3};
  double z[3] = {1, 2, 3};
  EXPECT_EQ(widen(3, x, static_cast<float*>(nullptr)), x);
  EXPECT_EQ(room(x, static_cast<float*>(nullptr)), x);
  EXPECT_EQ(room(z, static_cast<double*>(nullptr)), z);
}

}  // namespace
}  // namespace holt
