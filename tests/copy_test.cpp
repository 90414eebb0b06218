// clone(), to(Device), to(DType) and dropout as a user sees them: what is shared, where gradients go, what is refused.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "core/autograd.h"
#include "core/ops.h"
#include "kernels/stream.h"
#include "tests/harness/expect_error.h"

namespace holt {
namespace {

TEST(Copy, AClonesElementsAreItsOwn) {
  for (Device d : {Device::cpu, Device::simt}) {
    const Tensor x = from<float>({1, 2, 3, 4, 5, 6}, {3, 2}, DType::f32, d);
    const Tensor row = x.narrow(1, 2), y = row.clone();
    EXPECT_NE(y.storage(), x.storage());
    EXPECT_EQ(y.shape(), (Shape{2, 2}));
    EXPECT_EQ(y.device(), d);
    EXPECT_EQ(y.to_vector<float>(), (std::vector<float>{3, 4, 5, 6}));
  }
  EXPECT_EQ(zeros({0, 3}).clone().numel(), 0);
}

TEST(Copy, NothingHappensWhereNothingChanges) {
  const Tensor x = zeros({2});
  EXPECT_EQ(x.to(Device::cpu).impl(), x.impl());
  EXPECT_EQ(x.to(DType::f32).impl(), x.impl());
}

TEST(Copy, GradientsReturnToTheSourcesDeviceAndDtype) {
  const Tensor x = from<float>({1, 2, 3}, {3});
  x.requires_grad_();
  const Tensor y = x.to(Device::simt).to(DType::bf16).clone();
  EXPECT_EQ(y.device(), Device(Device::simt));
  EXPECT_EQ(y.dtype(), DType::bf16);
  y.backward(from<float>({0.5f, 1 + 0x1p-7f, -3}, {3}, DType::bf16, Device::simt));
  EXPECT_EQ(x.grad().device(), Device(Device::cpu));
  EXPECT_EQ(x.grad().dtype(), DType::f32);
  EXPECT_EQ(x.grad().to_vector<float>(), (std::vector<float>{0.5f, 1 + 0x1p-7f, -3}));
}

TEST(Copy, IntegersHaveNoGradientAndSaturate) {
  const float inf = std::numeric_limits<float>::infinity();
  for (Device d : {Device::cpu, Device::simt}) {
    const Tensor x = from<float>({-1.5f, 2.9f, 300, inf, NAN}, {5}, DType::f32, d);
    x.requires_grad_();
    EXPECT_FALSE(x.to(DType::i64).requires_grad());
    EXPECT_EQ(x.to(DType::i64).to_vector<int64_t>(),
              (std::vector<int64_t>{-1, 2, 300, std::numeric_limits<int64_t>::max(), 0}));
    EXPECT_EQ(x.to(DType::u8).to_vector<int64_t>(), (std::vector<int64_t>{0, 2, 255, 255, 0}));
    EXPECT_EQ(x.to(DType::bf16).to(DType::i32).to_vector<int64_t>()[2], 300);  // two steps on a GPU
  }
}

TEST(Copy, WhatADeviceLacksIsAnError) {
  const Tensor x = zeros({2}, DType::f32, Device::simt);
  EXPECT_NE(error_of([&] { x.to(DType::f64); }).find("to: dtype f64 is not supported on simt"), std::string::npos);
  if (cuda_device_count() > 0) return;
  EXPECT_NE(error_of([&] { x.to(Device::cuda); }).find(cuda_missing_reason()), std::string::npos);
}

TEST(Dropout, TheBackwardHasTheForwardsMaskOnEveryDevice) {
  std::vector<float> first;
  for (Device d : {Device::cpu, Device::simt}) {
    Generator g(42);
    const Tensor x = full({1000}, 1, DType::f32, d);
    x.requires_grad_();
    const Tensor y = dropout(x, 0.25, g);
    EXPECT_EQ(g.next, 1u);
    y.backward(full({1000}, 1, DType::f32, d));
    const auto values = y.to_vector<float>();
    EXPECT_EQ(x.grad().to_vector<float>(), values);
    if (first.empty()) first = values;
    EXPECT_EQ(values, first);
  }
  // 1000 draws with probability 0.75: 750 ± 6 standard deviations.
  EXPECT_NEAR(static_cast<double>(std::count(first.begin(), first.end(), static_cast<float>(1 / 0.75))), 750, 83);
}

TEST(Dropout, EveryDrawIsAnother) {
  Generator g(42);
  const Tensor x = full({256}, 1);
  EXPECT_NE(dropout(x, 0.5, g).to_vector<float>(), dropout(x, 0.5, g).to_vector<float>());
  Generator other(43), again(42);
  EXPECT_NE(dropout(x, 0.5, other).to_vector<float>(), dropout(x, 0.5, again).to_vector<float>());
}

TEST(Dropout, NothingAndEverything) {
  Generator g(1);
  const Tensor x = full({8}, 3);
  EXPECT_EQ(dropout(x, 0, g).impl(), x.impl());
  EXPECT_EQ(g.next, 0u);
  EXPECT_EQ(dropout(x, 1, g).to_vector<float>(), std::vector<float>(8, 0));
}

TEST(Dropout, RefusesWhatMakesNoSense) {
  Generator g(1);
  for (double p : {-0.1, 1.1, static_cast<double>(NAN)})
    EXPECT_NE(error_of([&] { dropout(zeros({2}), p, g); }).find("dropout: p must be in [0, 1]"), std::string::npos);
  EXPECT_NE(error_of([&] { dropout(zeros({2}, DType::i64), 0.5, g); }).find("floating"), std::string::npos);
  EXPECT_NE(error_of([&] { dropout(Tensor{}, 0.5, g); }).find("undefined"), std::string::npos);
  EXPECT_EQ(g.next, 0u);
}

}  // namespace
}  // namespace holt
