#include "kernels/brief.h"

#include <gtest/gtest.h>

#include <numbers>
#include <vector>

namespace holt {
namespace {

using Exact = long double (*)(long double);

// f, rounded, against `exact` on every finite bf16, in units of the last place of the exact value's bf16. Below 2^-117
// it may be 0: exponentials below 2^-126.5 are, and some are multiplied by hundreds.
template <class F>
void expect_within(double limit, F f, Exact exact) {
  std::vector<bf16> x(1 << 16);
  for (uint32_t i = 0; i < x.size(); ++i) x[i] = std::bit_cast<bf16>(static_cast<uint16_t>(i));
  std::vector<float> y(x.size() + lanes::kLanes);
  lanes::map(static_cast<int64_t>(x.size()), y.data(), f, x.data());
  double worst = 0;
  float at = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    if (std::isinf(float(x[i]))) continue;
    const long double want = exact(float(x[i]));
    const float nearest = static_cast<float>(want);
    if (std::isnan(nearest) || std::isinf(nearest)) {
      EXPECT_TRUE(std::isnan(nearest) ? std::isnan(y[i]) : y[i] == nearest) << "at x = " << float(x[i]);
    } else if (y[i] != 0 || std::fabs(want) > 0x1p-117L) {
      int e;
      std::frexp(nearest, &e);
      const double off =
          static_cast<double>(std::fabs(float(bf16(y[i])) - want) / std::ldexp(1.0L, std::max(e - 8, -133)));
      if (!(off <= worst)) worst = off, at = float(x[i]);
    }
  }
  EXPECT_LE(worst, limit) << "at x = " << at;
  testing::Test::RecordProperty("worst", std::to_string(worst));
}

long double sigmoid(long double x) { return 1 / (1 + std::exp(-x)); }
long double density(long double x) { return std::exp(-x * x / 2) / std::sqrt(2 * std::numbers::pi_v<long double>); }
long double cdf(long double x) { return std::erfc(-x / std::numbers::sqrt2_v<long double>) / 2; }
long double swish_slope(long double beta, long double x) {
  const long double s = sigmoid(beta * x);
  return s + beta * x * s * sigmoid(-beta * x);
}
constexpr long double kScale = 1.595769121605730711759542L;  // 2·√(2/π)
long double tanh_argument(long double x) { return kScale * (x + 0.044715L * x * x * x); }

TEST(Brief, Exp) {
  expect_within(
      0.7, [](lanes::Vec x) { return brief::value(Exp{}, x); }, [](long double x) { return std::exp(x); });
}
TEST(Brief, ExpNegative) {
  expect_within(
      0.7, [](lanes::Vec x) { return brief::exp_negative(-lanes::abs(x)); },
      [](long double x) { return std::exp(-std::fabs(x)); });
}
TEST(Brief, Log) {
  expect_within(
      0.7, [](lanes::Vec x) { return brief::value(Log{}, x); }, [](long double x) { return std::log(x); });
}
TEST(Brief, Tanh) {
  expect_within(
      0.7, [](lanes::Vec x) { return brief::value(Tanh{}, x); }, [](long double x) { return std::tanh(x); });
  expect_within(
      0.7, [](lanes::Vec x) { return brief::slope(Tanh{}, x); },
      [](long double x) { return 4 * sigmoid(2 * x) * sigmoid(-2 * x); });
}
TEST(Brief, Sigmoid) {
  expect_within(
      0.7, [](lanes::Vec x) { return brief::value(Sigmoid{}, x); }, sigmoid);
  expect_within(
      0.7, [](lanes::Vec x) { return brief::slope(Sigmoid{}, x); },
      [](long double x) { return sigmoid(x) * sigmoid(-x); });
}
TEST(Brief, Silu) {
  expect_within(
      0.7, [](lanes::Vec x) { return brief::value(Swish<float>{1}, x); }, [](long double x) { return x * sigmoid(x); });
  expect_within(
      0.7, [](lanes::Vec x) { return brief::slope(Swish<float>{1}, x); },
      [](long double x) { return swish_slope(1, x); });
}
TEST(Brief, QuickGelu) {
  expect_within(
      0.7, [](lanes::Vec x) { return brief::value(Swish<float>{1.702f}, x); },
      [](long double x) { return x * sigmoid(1.702L * x); });
  expect_within(
      0.7, [](lanes::Vec x) { return brief::slope(Swish<float>{1.702f}, x); },
      [](long double x) { return swish_slope(1.702L, x); });
}
TEST(Brief, GeluTanh) {
  expect_within(
      0.7, [](lanes::Vec x) { return brief::value(GeluTanh{}, x); },
      [](long double x) { return x * sigmoid(tanh_argument(x)); });
  expect_within(
      0.7, [](lanes::Vec x) { return brief::slope(GeluTanh{}, x); },
      [](long double x) {
        const long double s = sigmoid(tanh_argument(x)), rest = sigmoid(-tanh_argument(x));
        return s + x * kScale * (1 + 3 * 0.044715L * x * x) * s * rest;
      });
}
TEST(Brief, Gelu) {
  expect_within(
      0.7, [](lanes::Vec x) { return brief::value(GeluExact{}, x); }, [](long double x) { return x * cdf(x); });
  expect_within(
      0.7, [](lanes::Vec x) { return brief::slope(GeluExact{}, x); },
      [](long double x) { return cdf(x) + x * density(x); });
}

}  // namespace
}  // namespace holt
