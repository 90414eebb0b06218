// Layers against values computed by hand, their shapes, labels and modes.
#include <gtest/gtest.h>

#include <cmath>

#include "core/autograd.h"
#include "nn/layers.h"
#include "nn/sequential.h"
#include "tests/harness/expect_error.h"
#include "tests/harness/tensors.h"

namespace holt::nn {
namespace {

using Floats = std::vector<float>;

using test::values;

void set(const Tensor& t, const Floats& v) {
  ASSERT_EQ(static_cast<int64_t>(v.size()), t.numel());
  std::copy(v.begin(), v.end(), t.data<float>());
  t.bump_version();
}

void expect_near(const Tensor& t, const Floats& expected, double relative = 4e-7) {
  const Floats got = values(t);
  ASSERT_EQ(got.size(), expected.size());
  for (size_t i = 0; i < got.size(); ++i) {
    const bool near = std::abs(got[i] - expected[i]) <= relative * std::max(1.f, std::abs(expected[i]));
    EXPECT_TRUE(near) << "[" << i << "] got " << got[i] << ", expected " << expected[i];
  }
}

TEST(Linear, ByHand) {
  Generator g(1);
  Linear m(3, 2, g);
  set(m.weight, {1, 2, 3, -1, 0, 1});
  set(m.bias, {10, -5});
  const Tensor x = from(Floats{1, 1, 1, 2, 0, -1}, {2, 3});
  EXPECT_EQ(values(m(x)), (Floats{16, -5, 9, -8}));
  EXPECT_EQ(values(m(x, Activation::relu)), (Floats{16, 0, 9, 0}));
  EXPECT_EQ(m(x.reshape({1, 2, 3})).shape(), (Shape{1, 2, 2}));
  EXPECT_EQ(m.label(), "Linear(3 → 2)");
  EXPECT_EQ(Linear(3, 2, g, {.bias = false}).label(), "Linear(3 → 2, no bias)");
  EXPECT_EQ(error_of([&] { Linear(0, 2, g); }), "Linear: sizes must be positive, got 0 in and 2 out");
}

TEST(Conv2d, ByHand) {
  Generator g(1);
  Conv2d m(1, 2, 2, g, {.stride = 2, .padding = 1});
  EXPECT_EQ(m.weight.shape(), (Shape{2, 2, 2, 1}));
  set(m.weight, {1, 2, 3, 4, 0, 0, 0, 1});
  set(m.bias, {0, 100});
  // 3×3 image 1…9; windows with zeros around: (1), (2 3), (4 / 7), (5 6 / 8 9).
  const Tensor x = from(Floats{1, 2, 3, 4, 5, 6, 7, 8, 9}, {1, 3, 3, 1});
  const Tensor y = m(x);
  EXPECT_EQ(y.shape(), (Shape{1, 2, 2, 2}));
  EXPECT_EQ(values(y), (Floats{4 * 1, 101, 3 * 2 + 4 * 3, 103, 2 * 4 + 4 * 7, 107, 5 + 2 * 6 + 3 * 8 + 4 * 9, 109}));
  EXPECT_EQ(m.label(), "Conv2d(1 → 2, 2×2, stride 2, padding 1)");
  const Conv2d depthwise(4, 4, 3, g, {.padding = 2, .bias = false, .dilation = 2, .groups = 4});
  EXPECT_EQ(depthwise.weight.shape(), (Shape{4, 3, 3, 1}));
  EXPECT_EQ(depthwise.label(), "Conv2d(4 → 4, 3×3, padding 2, dilation 2, 4 groups, no bias)");
  EXPECT_EQ(error_of([&] { Conv2d(4, 6, 3, g, {.groups = 4}); }),
            "Conv2d: groups must be positive and divide the channels, got 4 groups, 4 in and 6 out");
  EXPECT_EQ(error_of([&] { Conv2d(1, 2, 3, g, {.stride = 0}); }),
            "Conv2d: kernel, stride and dilation must be positive and padding not negative, got 3, 0, 1 and 0");
}

TEST(BatchNorm2d, TrainingMovesTheRunningStatistics) {
  BatchNorm2d bn(2, {.momentum = 0.1, .eps = 0});
  set(bn.weight, {2, 1});
  set(bn.bias, {0, 1});
  // Channel 0: 1 and 5 (mean 3, variance 4, unbiased 8); channel 1: 0 and 2 (mean 1, variance 1, unbiased 2).
  const Tensor x = from(Floats{1, 0, 5, 2}, {2, 1, 1, 2});
  expect_near(bn(x), {-2, 0, 2, 2});
  expect_near(bn.running_mean, {0.3f, 0.1f});
  expect_near(bn.running_var, {0.9f + 0.8f, 0.9f + 0.2f});
  bn.eval();
  const float r0 = 2 / std::sqrt(1.7f), r1 = 1 / std::sqrt(1.1f);
  expect_near(bn(x), {0.7f * r0, 1 - 0.1f * r1, 4.7f * r0, 1 + 1.9f * r1}, 1e-6);
  expect_near(bn.running_mean, {0.3f, 0.1f});
}

TEST(BatchNorm2d, FusedReluAndResidual) {
  BatchNorm2d bn(1, {.eps = 0});
  const Tensor x = from(Floats{1, 5, 1, 5}, {4, 1, 1, 1}), r = from(Floats{3, -4, 0.5f, 0}, {4, 1, 1, 1});
  expect_near(bn(x, {.relu = true, .residual = r}), {2, 0, 0, 1});
  expect_near(bn(x, {.relu = true}), {0, 1, 0, 1});
  expect_near(bn(x, {.residual = r}), {2, -3, -0.5f, 1});
  expect_near(bn(x), {-1, 1, -1, 1});
}

TEST(BatchNorm2d, FrozenStatisticsInTraining) {
  BatchNorm2d bn(1, {.eps = 0});
  set(bn.running_mean, {1});
  set(bn.running_var, {4});
  bn.statistics = BatchNorm2d::Statistics::frozen;
  EXPECT_TRUE(bn.training());
  const Tensor x = from(Floats{1, 5, -1, 3}, {4, 1, 1, 1});
  const Tensor y = bn(x);
  expect_near(y, {0, 2, -1, 1});
  EXPECT_EQ(values(bn.running_mean), Floats{1});
  EXPECT_EQ(values(bn.running_var), Floats{4});
  y.backward(from(Floats{1, 10, 100, 1000}, {4, 1, 1, 1}));
  expect_near(bn.weight.grad(), {0 + 20 - 100 + 1000});  // γ and β are trained
  expect_near(bn.bias.grad(), {1111});
}

TEST(BatchNorm2d, ReestimationAveragesTheBatches) {
  BatchNorm2d bn(1);
  bn.reset_statistics();
  const NoGrad no_grad;
  const std::vector<Floats> batches = {{1, 3}, {5, 9}, {-2, 2}};  // means 2, 7, 0; unbiased variances 2, 8, 8
  for (size_t k = 0; k < batches.size(); ++k) {
    bn.momentum = 1 / static_cast<double>(k + 1);
    bn(from(batches[k], {2, 1, 1, 1}));
  }
  expect_near(bn.running_mean, {3});
  expect_near(bn.running_var, {6});
}

TEST(LayerNorm, ByHand) {
  LayerNorm m(2, 0);
  set(m.weight, {1, 10});
  set(m.bias, {0.5f, 0});
  expect_near(m(from(Floats{1, 3, 8, 4}, {2, 2})), {-0.5f, 10, 1.5f, -10});
  EXPECT_EQ(m.label(), "LayerNorm(2)");
}

TEST(Activations, ByHand) {
  const Tensor x = from(Floats{-2, 0, 1, 3}, {4});
  EXPECT_EQ(values(ReLU()(x)), (Floats{0, 0, 1, 3}));
  // x·Φ(x): Φ(−2) = 0.0227501319, Φ(1) = 0.8413447461, Φ(3) = 0.9986501020.
  expect_near(GELU()(x), {-0.0455002639f, 0, 0.8413447461f, 2.9959503059f}, 1e-6);
  // 0.5·x·(1 + tanh(√(2/π)(x + 0.044715·x³))).
  expect_near(GELU(Gelu::tanh)(x), {-0.0454023059f, 0, 0.8411919906f, 2.9963626107f}, 1e-6);
  // σ(−2) = 0.1192029220, σ(1) = 0.7310585786, σ(3) = 0.9525741268.
  expect_near(Sigmoid()(x), {0.1192029220f, 0.5f, 0.7310585786f, 0.9525741268f}, 1e-6);
  expect_near(SiLU()(x), {-0.2384058440f, 0, 0.7310585786f, 2.8577223804f}, 1e-6);
  expect_near(Tanh()(x), {-0.9640275801f, 0, 0.7615941560f, 0.9950547537f}, 1e-6);
  // σ(−3.404) = 0.0321707, σ(1.702) = 0.8457968, σ(5.106) = 0.9939757.
  expect_near(QuickGELU()(x), {-0.0643414f, 0, 0.8457959f, 2.9819287f}, 2e-6);
}

TEST(Dropout, KeepsTheExpectationAndItsSeed) {
  Generator g(3), same(3);
  Dropout d(0.25, g), e(0.25, same);
  const Tensor x = full({100000}, 3);
  const Floats y = values(d(x));
  int64_t zeros = 0;
  for (float v : y) {
    ASSERT_TRUE(v == 0 || v == 4) << v;  // 3 / (1 − 0.25)
    zeros += v == 0;
  }
  EXPECT_NEAR(static_cast<double>(zeros), 25000, 5 * std::sqrt(100000 * 0.25 * 0.75));  // five standard deviations
  EXPECT_EQ(values(e(x)), y);
  EXPECT_NE(values(e(x)), y);
  d.eval();
  EXPECT_EQ(d(x).raw(), x.raw());
  EXPECT_EQ(error_of([&] { Dropout(1, g); }), "Dropout: the probability must be in [0, 1), got 1");
}

TEST(Pooling, ByHand) {
  const Tensor x = from(Floats{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, -16}, {1, 4, 4, 1});
  EXPECT_EQ(values(MaxPool2d(2)(x)), (Floats{6, 8, 14, 15}));
  EXPECT_EQ(values(MaxPool2d(3, 2, 1)(x)), (Floats{6, 8, 14, 15}));
  EXPECT_EQ(values(AvgPool2d(2)(x)), (Floats{3.5f, 5.5f, 11.5f, (11 + 12 + 15 - 16) / 4.f}));
  EXPECT_EQ(values(AvgPool2d(2, 3, 1)(x)), (Floats{0.25f, 1.75f, 5.5f, 5.5f}));  // the padding counts
  EXPECT_EQ(values(GlobalAvgPool()(x)), (Floats{(120 - 16) / 16.f}));
  EXPECT_EQ(MaxPool2d(3, 2, 1).label(), "MaxPool2d(3×3, stride 2, padding 1)");
  EXPECT_EQ(AvgPool2d(2).label(), "AvgPool2d(2×2)");
}

TEST(Sequential, ChainsAndCopies) {
  Generator g(1);
  Sequential m(Flatten(), Linear(4, 2, g));
  m.append(ReLU());
  EXPECT_EQ(m.size(), 3u);
  EXPECT_EQ(m(zeros({5, 2, 2, 1})).shape(), (Shape{5, 2}));
  const Tensor x = zeros({2, 2});
  EXPECT_EQ(Sequential()(x).raw(), x.raw());
  Sequential shared = m, owned;
  owned = std::move(*clone(m));
  EXPECT_EQ(shared.parameters()[0].raw(), m.parameters()[0].raw());
  EXPECT_NE(owned.parameters()[0].raw(), m.parameters()[0].raw());
  // A copy has its own modes.
  shared[2].eval();
  EXPECT_TRUE(m[2].training());
  EXPECT_EQ(error_of([&] { m[3]; }), "Sequential: no layer 3 of 3");
}

}  // namespace
}  // namespace holt::nn
