#include "kernels/vector_math.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

namespace holt {
namespace {

// Distance of `got` from the exact value in units of the last place of the exact value's float, subnormals included.
double ulps(float got, long double exact) {
  if (std::isnan(got) || std::isnan(exact)) return std::isnan(got) && std::isnan(exact) ? 0 : INFINITY;
  const float nearest = static_cast<float>(exact);
  if (std::isinf(nearest) || std::isinf(got)) return got == nearest ? 0 : INFINITY;
  int e;
  std::frexp(nearest, &e);
  const double unit = std::ldexp(1.0, std::max(e - 24, -149));
  return static_cast<double>(std::fabs(static_cast<long double>(got) - exact)) / unit;
}

// f against `exact` on every 997th of the 2^32 bit patterns (coprime with every field of a float) from `lowest` on, in
// a loop that vectorises.
template <class F, class G>
void expect_within(double limit, F f, G exact, float lowest = -std::numeric_limits<float>::infinity()) {
  double worst = 0;
  float at = 0;
  std::vector<float> x(4096), y(4096);
  for (uint64_t next = 0; next < (uint64_t{1} << 32);) {
    size_t n = 0;
    for (; n < x.size() && next < (uint64_t{1} << 32); ++n, next += 997)
      x[n] = std::bit_cast<float>(static_cast<uint32_t>(next));
    for (size_t i = 0; i < n; ++i) y[i] = f(x[i]);
    for (size_t i = 0; i < n; ++i)
      if (const double u = ulps(y[i], exact(static_cast<long double>(x[i]))); !(x[i] < lowest) && !(u <= worst))
        worst = u, at = x[i];
  }
  EXPECT_LE(worst, limit) << "at x = " << at;
  testing::Test::RecordProperty("worst_ulp", std::to_string(worst));
}

TEST(VectorMath, Exp) {
  expect_within(
      1, [](float x) { return vmath::exp(x); }, [](long double x) { return std::exp(x); });
}
TEST(VectorMath, Log) {
  expect_within(
      1, [](float x) { return vmath::log(x); }, [](long double x) { return std::log(x); });
}
TEST(VectorMath, Tanh) {
  expect_within(
      2, [](float x) { return vmath::tanh(x); }, [](long double x) { return std::tanh(x); });
}
TEST(VectorMath, Erf) {
  expect_within(
      2, [](float x) { return vmath::erf(x); }, [](long double x) { return std::erf(x); });
}
TEST(VectorMath, Sigmoid) {
  expect_within(
      3, [](float x) { return vmath::sigmoid(x); }, [](long double x) { return 1 / (1 + std::exp(-x)); }, -87);
  for (float x = -87; x > -200; x -= 0.25f) EXPECT_LE(std::fabs(vmath::sigmoid(x)), 0x1p-125f);
}

// Against the definition, in steps of 1e-5; the rounding of a result beside it.
template <class F, class G>
void expect_near(double limit, F f, G exact) {
  double worst = 0, at = 0;
  for (int64_t i = -1500000; i <= 1500000; ++i) {
    const float x = static_cast<float>(i) * 1e-5f;
    const double y = exact(x), unit = y == 0 ? 0 : std::ldexp(1.0, std::ilogb(y) - 24);  // half of y's last place
    if (const double off = std::fabs(f(x) - y) - unit; !(off <= worst)) worst = off, at = x;
  }
  EXPECT_LE(worst, limit) << "at x = " << at;
}

TEST(VectorMath, Gelu) {
  const auto f = [](float x) { return vmath::gelu(x); };
  expect_near(5e-8, f, [](double x) { return 0.5 * x * std::erfc(-x / std::sqrt(2.0)); });
  for (float x = 1e-30f; x < 1e-3f; x *= 1.01f) EXPECT_NEAR(f(-x) / vmath::gelu(-double{x}), 1, 2e-7);  // Φ(0) is ½
  for (float x = 13; x < 3e38f; x *= 1.01f) {
    EXPECT_EQ(f(x), x);
    EXPECT_EQ(f(-x), 0);
  }
  EXPECT_EQ(f(0.0f), 0);
  EXPECT_EQ(f(INFINITY), INFINITY);
  EXPECT_EQ(f(-INFINITY), 0);
  EXPECT_TRUE(std::isnan(f(NAN)));
}
TEST(VectorMath, GeluSlope) {
  const auto f = [](float x) { return vmath::gelu_slope(x); };
  expect_near(1e-7, f, [](double x) {
    return 0.5 * std::erfc(-x / std::sqrt(2.0)) + x * std::exp(-0.5 * x * x) / std::sqrt(2 * M_PI);
  });
  for (float x = 14; x < 3e38f; x *= 1.01f) {
    EXPECT_EQ(f(x), 1);
    EXPECT_EQ(f(-x), 0);
  }
  EXPECT_EQ(f(0.0f), 0.5f);
  EXPECT_EQ(f(INFINITY), 1);
  EXPECT_EQ(f(-INFINITY), 0);
  EXPECT_TRUE(std::isnan(f(NAN)));
}

TEST(VectorMath, SpecialValues) {
  constexpr float inf = std::numeric_limits<float>::infinity();
  EXPECT_EQ(vmath::exp(inf), inf);
  EXPECT_EQ(vmath::exp(-inf), 0);
  EXPECT_EQ(vmath::exp(0.0f), 1);
  EXPECT_EQ(vmath::exp(88.72284f), inf);
  EXPECT_LT(vmath::exp(88.72283f), inf);
  EXPECT_EQ(vmath::log(0.0f), -inf);
  EXPECT_EQ(vmath::log(-0.0f), -inf);
  EXPECT_EQ(vmath::log(1.0f), 0);
  EXPECT_EQ(vmath::log(inf), inf);
  EXPECT_TRUE(std::isnan(vmath::log(-1.0f)));
  EXPECT_EQ(vmath::tanh(inf), 1);
  EXPECT_EQ(vmath::tanh(-inf), -1);
  EXPECT_TRUE(std::signbit(vmath::tanh(-0.0f)));
  EXPECT_EQ(vmath::erf(inf), 1);
  EXPECT_EQ(vmath::erf(-inf), -1);
  EXPECT_TRUE(std::signbit(vmath::erf(-0.0f)));
  EXPECT_EQ(vmath::sigmoid(inf), 1);
  EXPECT_EQ(vmath::sigmoid(-inf), 0);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (float y : {vmath::exp(nan), vmath::log(nan), vmath::tanh(nan), vmath::erf(nan), vmath::sigmoid(nan)})
    EXPECT_TRUE(std::isnan(y));
}

}  // namespace
}  // namespace holt
