// The same small network — convolution, batch norm, pooling, linear, dropout — trained 20 steps on cpu and on the
// emulated GPU: every kernel of a training step, forward and backward, in one loop. On cuda too, where there is a GPU
// or a double of one (then all of a step is queued before any of it runs).
#include <gtest/gtest.h>

#include <cmath>

#include "kernels/stream.h"
#include "nn/layers.h"
#include "nn/optim.h"
#include "nn/schedule.h"
#include "nn/sequential.h"
#include "nn/state.h"

namespace holt::nn {
namespace {

constexpr int kTrainingSteps = 20, kTrainingBatch = 8;

Sequential network() {
  Generator g(11);
  return Sequential(Conv2d(1, 8, 3, g, {.stride = 2, .padding = 1, .bias = false}), BatchNorm2d(8), ReLU(),
                    MaxPool2d(2), Conv2d(8, 16, 3, g, {.padding = 1}), GELU(), Flatten(), Dropout(0.2, g),
                    Linear(16 * 3 * 3, 4, g));
}

struct Trained {
  std::vector<double> losses;
  State state;
};

template <class MakeOptimizer>
Trained train(Device device, const MakeOptimizer& make) {
  Sequential m = network();
  m.to(device);
  auto optimizer = make(m);
  Trained run;
  Generator g(12);
  for (int t = 0; t < kTrainingSteps; ++t) {
    const Tensor x = normal({kTrainingBatch, 12, 12, 1}, 0, 1, g, DType::f32, device);
    std::vector<int64_t> y(kTrainingBatch);
    for (int i = 0; i < kTrainingBatch; ++i) y[static_cast<size_t>(i)] = (t + i) % 4;
    const Tensor loss = cross_entropy(m(x), from(y, Shape{kTrainingBatch}).to(device));
    loss.backward();
    optimizer.step(schedule::cosine(t, {.total = kTrainingSteps, .warmup = 4}), {.max_norm = 2});
    optimizer.zero_grad();
    run.losses.push_back(loss.item());
  }
  run.state = clone(m.state());
  return run;
}

// Both compute in float with sums of at most K = 8·6·6 = 288 terms (the weight gradient of the first convolution) in
// different orders, so a gradient is off by about √K·2^-24 ≈ 1e-6 of its size, and a step by that much of its length;
// twenty steps add up to 2e-5 of how far training moved a tensor. ReLU, max pooling and clipping are Lipschitz and
// batch norm divides by σ ≥ 0.3 here, so earlier differences are not amplified. AdamW divides each gradient by its own
// size: small elements, whose error is relative to the large ones, count as much as these; a factor of five.
constexpr double kSgdTolerance = 2e-5, kAdamTolerance = 1e-4;

void expect_same(const Trained& a, const Trained& b, double tolerance) {
  for (int t = 0; t < kTrainingSteps; ++t) {
    const auto i = static_cast<size_t>(t);
    EXPECT_LE(std::abs(a.losses[i] - b.losses[i]), tolerance * a.losses[i]) << "step " << t;
  }
  const State start = network().state();
  for (auto& [name, t] : a.state) {
    const std::vector<float> x = t.to_vector<float>(), y = b.state.at(name).to_vector<float>(),
                             s = start.at(name).to_vector<float>();
    double moved = 0, apart = 0;
    bool finite = true;
    for (size_t i = 0; i < x.size(); ++i) {
      moved = std::max<double>(moved, std::abs(x[i] - s[i]));
      apart = std::max<double>(apart, std::abs(x[i] - y[i]));
      finite &= std::isfinite(x[i]) && std::isfinite(y[i]);
    }
    EXPECT_TRUE(finite) << name;
    EXPECT_GT(moved, 1e-3) << name << " was not trained";
    EXPECT_LE(apart, tolerance * moved) << name;
  }
}

const auto with_sgd = [](Sequential& m) {
  return SGD(m.named_parameters(), {.lr = 0.1, .momentum = 0.9, .nesterov = true, .weight_decay = 1e-3});
};
const auto with_adamw = [](Sequential& m) { return AdamW(m.named_parameters(), {.lr = 0.01}); };

TEST(SimtTraining, SgdAgreesWithCpu) {
  const Trained cpu = train(Device::cpu, with_sgd);
  for (uint64_t schedule : {1, 2}) {
    const SimtSchedule order(schedule);
    expect_same(cpu, train(Device::simt, with_sgd), kSgdTolerance);
  }
}

TEST(SimtTraining, AdamWAgreesWithCpu) {
  expect_same(train(Device::cpu, with_adamw), train(Device::simt, with_adamw), kAdamTolerance);
}

TEST(CudaTraining, AgreesWithCpu) {
  if (cuda_device_count() == 0) GTEST_SKIP() << cuda_missing_reason();
  expect_same(train(Device::cpu, with_sgd), train(Device::cuda, with_sgd), kSgdTolerance);
  expect_same(train(Device::cpu, with_adamw), train(Device::cuda, with_adamw), kAdamTolerance);
}

}  // namespace
}  // namespace holt::nn
