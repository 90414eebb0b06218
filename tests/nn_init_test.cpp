// Initialisers: bounds exactly, mean and variance within five standard errors, and the generator's reproducibility.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "nn/init.h"
#include "nn/layers.h"
#include "tests/harness/worst.h"

namespace holt::nn {
namespace {

struct Statistics {
  double mean = 0, variance = 0, kurtosis = 0, low = 0, high = 0;
  int64_t n = 0;
};

Statistics statistics(const Tensor& t) {
  const std::vector<double> x = t.to_vector<double>();
  Statistics s;
  s.n = static_cast<int64_t>(x.size());
  for (double v : x) s.mean += v / static_cast<double>(s.n);
  double fourth = 0;
  for (double v : x) {
    s.variance += (v - s.mean) * (v - s.mean) / static_cast<double>(s.n);
    fourth += std::pow(v - s.mean, 4) / static_cast<double>(s.n);
  }
  s.kurtosis = fourth / (s.variance * s.variance);
  s.low = *std::min_element(x.begin(), x.end());
  s.high = *std::max_element(x.begin(), x.end());
  return s;
}

// `kurtosis`: of the distribution that is meant; sets the standard error of the variance.
void expect_distribution(const Tensor& t, double mean, double variance, double kurtosis) {
  const Statistics s = statistics(t);
  const double n = static_cast<double>(s.n);
  EXPECT_NEAR(s.mean, mean, 5 * std::sqrt(variance / n));
  EXPECT_NEAR(s.variance, variance, 5 * variance * std::sqrt((kurtosis - 1) / n));
  EXPECT_NEAR(s.kurtosis, kurtosis, 0.1);
}

const Shape kWeight{64, 5, 5, 32};  // fan in 800, fan out 1600
constexpr double kNormal = 3, kUniform = 1.8;

TEST(Init, Fans) {
  EXPECT_EQ(init::fan_in(kWeight), 800);
  EXPECT_EQ(init::fan_out(kWeight), 1600);
  EXPECT_EQ(init::fan_in({10, 7}), 7);
  EXPECT_EQ(init::fan_out({10, 7}), 10);
  EXPECT_THROW(init::fan_in({7}), Error);
}

TEST(Init, Kaiming) {
  Generator g(1);
  expect_distribution(init::kaiming_normal(kWeight, g), 0, 2.0 / 800, kNormal);
  expect_distribution(init::kaiming_normal(kWeight, g, init::Fan::out), 0, 2.0 / 1600, kNormal);
  expect_distribution(init::kaiming_normal(kWeight, g, init::Fan::in, 1), 0, 1.0 / 800, kNormal);
  expect_distribution(init::kaiming_uniform(kWeight, g), 0, 2.0 / 800, kUniform);
}

TEST(Init, Xavier) {
  Generator g(2);
  expect_distribution(init::xavier_normal(kWeight, g), 0, 2.0 / 2400, kNormal);
  const Tensor t = init::xavier_uniform(kWeight, g);
  expect_distribution(t, 0, 2.0 / 2400, kUniform);
  const double bound = std::sqrt(6.0 / 2400);
  const Statistics s = statistics(t);
  EXPECT_GE(s.low, -bound);
  EXPECT_LE(s.high, bound);
  EXPECT_GT(s.high, 0.999 * bound);
}

TEST(Init, TruncatedNormal) {
  Generator g(3);
  const Tensor t = init::truncated_normal({100000}, g);
  // Variance of a standard normal within ±2: 1 − 2·2·φ(2) / (Φ(2) − Φ(−2)) = 0.7737; fourth moment 3·var − 2·8·φ(2) / …
  const double density = std::exp(-2.0) / std::sqrt(2 * M_PI), mass = std::erf(std::sqrt(2.0));
  const double variance = 1 - 4 * density / mass, fourth = 3 * variance - 16 * density / mass;
  expect_distribution(t, 0, variance, fourth / (variance * variance));
  const Statistics s = statistics(t);
  EXPECT_GE(s.low, -2);
  EXPECT_LE(s.high, 2);
  EXPECT_GT(s.high, 1.99);
  // ViT's: std 0.02, cut far out, so nearly the whole normal.
  expect_distribution(init::truncated_normal({100000}, g, 0, 0.02), 0, 0.02 * 0.02, kNormal);
  // A one-sided tail: mean of a normal beyond 3 is φ(3) / (1 − Φ(3)).
  const Statistics tail = statistics(init::truncated_normal({100000}, g, 0, 1, 3, 9));
  const double beyond = std::exp(-4.5) / std::sqrt(2 * M_PI) / (0.5 * std::erfc(3 / std::sqrt(2.0)));
  EXPECT_NEAR(tail.mean, beyond, 5 * std::sqrt(tail.variance / 100000));
  EXPECT_GE(tail.low, 3);
  EXPECT_THROW(init::truncated_normal({4}, g, 0, 1, 2, 1), Error);
  EXPECT_THROW(init::truncated_normal({4}, g, 0, 1, 30, 31), Error);
}

// Element by element Φ(x) is what was drawn: in the middle, in both tails, and far out. Where a float of x is rounded Φ
// moves by x·φ(x)/2²⁴, at most x²·Φ(x)/2²⁴ and more in a tail.
TEST(Init, TruncatedNormalInvertsItsDraws) {
  const Shape shape{1 << 20};
  int far = 0;
  for (auto [low, high] : {std::pair{-2.0, 2.0}, {-100.0, 100.0}, {-9.0, -4.7}, {3.0, 9.0}}) {
    Generator a(7), b(7);
    const auto u = uniform(shape, 0, 1, a).to_vector<float>(),
               x = init::truncated_normal(shape, b, 0, 1, low, high).to_vector<float>();
    EXPECT_EQ(a, b);
    const bool upper = low > 0;  // by symmetry, where 1 − Φ would round
    const auto below = [&](double v) { return 0.5 * std::erfc((upper ? v : -v) / std::sqrt(2.0)); };
    const double from = below(low), to = below(high);
    double worst = 0;
    for (size_t i = 0; i < u.size(); ++i) {
      const double p = from + (to - from) * (double{u[i]} + 0x1p-25), v = double{x[i]};
      test::raise(worst, std::fabs(below(v) - p) / (p * (1 + v * v)));
      far += p < 1e-11;
    }
    EXPECT_LE(worst, 1e-7) << low << " " << high;
  }
  EXPECT_GT(far, 3);
}

// What a model draws its own way is drawn once, and its seed gives the numbers that it gives with both.
TEST(Init, ALayerThatIsNotDrawnMovesTheGeneratorOn) {
  Generator a(5), b(5);
  const Linear drawn(3, 4, a), linear(3, 4, b, {.draw = false});
  EXPECT_EQ(a, b);
  EXPECT_EQ(linear.weight.shape(), drawn.weight.shape());
  EXPECT_EQ(linear.weight.to_vector<float>(), std::vector<float>(12, 0.f));
  EXPECT_EQ(linear.bias.to_vector<float>(), std::vector<float>(4, 0.f));
  EXPECT_TRUE(linear.weight.requires_grad() && linear.bias.requires_grad());
  const Conv2d convolution(3, 4, 5, a), zeros(3, 4, 5, b, {.draw = false});
  EXPECT_EQ(a, b);
  EXPECT_EQ(zeros.weight.shape(), convolution.weight.shape());
  const Conv2d no_bias(3, 4, 5, a, {.bias = false}), none(3, 4, 5, b, {.bias = false, .draw = false});
  EXPECT_EQ(a, b);
  EXPECT_FALSE(none.bias.defined());
}

TEST(Init, TorchDefaults) {
  Generator g(4);
  Linear linear(300, 400, g);
  const double bound = 1 / std::sqrt(300.0);
  expect_distribution(linear.weight, 0, bound * bound / 3, kUniform);
  Conv2d conv(32, 64, 5, g);
  expect_distribution(conv.weight, 0, 1.0 / 800 / 3, kUniform);
  EXPECT_LE(statistics(conv.bias).high, 1 / std::sqrt(800.0));
  EXPECT_GE(statistics(conv.bias).low, -1 / std::sqrt(800.0));
  EXPECT_GT(statistics(conv.bias).high, 0.5 / std::sqrt(800.0));
}

TEST(Init, OneSeedOneModel) {
  Generator a(5), b(5), c(6);
  const auto x = init::kaiming_normal(kWeight, a).to_vector<float>();
  EXPECT_EQ(init::kaiming_normal(kWeight, b).to_vector<float>(), x);
  EXPECT_NE(init::kaiming_normal(kWeight, c).to_vector<float>(), x);
  EXPECT_NE(init::kaiming_normal(kWeight, a).to_vector<float>(), x);
}

}  // namespace
}  // namespace holt::nn
