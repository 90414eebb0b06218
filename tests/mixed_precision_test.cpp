// Training in an Autocast scope: losses, gradients, memory; loss scaling and what an overflow leaves alone.
#include <gtest/gtest.h>

#include <cmath>

#include "core/autocast.h"
#include "kernels/memory.h"
#include "kernels/parallel.h"
#include "nn/layers.h"
#include "nn/models/registry.h"
#include "nn/optim.h"
#include "nn/sequential.h"
#include "nn/state.h"
#include "nn/train_loop.h"
#include "tests/harness/expect_error.h"

namespace holt::nn {
namespace {

constexpr Device kDevices[] = {Device::cpu, Device::simt};

Sequential small_net(Device d) {
  Generator g(11);
  Sequential net(Conv2d(1, 8, 3, g, {.stride = 2, .padding = 1, .bias = false}), BatchNorm2d(8), ReLU(), MaxPool2d(2),
                 Conv2d(8, 16, 3, g, {.padding = 1}), GELU(), Flatten(), Linear(16 * 3 * 3, 32, g), LayerNorm(32),
                 Linear(32, 4, g));
  net.to(d);
  return net;
}

struct Batch {
  Tensor images, labels;
};

// Four classes: blobs in the four corners, in noise.
Batch small_batch(Device d) {
  const int64_t n = d == Device::cpu ? 16 : 8;
  Generator g(12);
  const Tensor x = normal({n, 12, 12, 1}, 0, 0.5, g);
  std::vector<int64_t> labels(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i) {
    const int64_t c = labels[static_cast<size_t>(i)] = i % 4;
    for (int64_t r = 0; r < 4; ++r)
      for (int64_t k = 0; k < 4; ++k) x.data<float>()[i * 144 + (r + c / 2 * 7) * 12 + k + c % 2 * 7] += 1;
  }
  return {x.to(d), from(labels, Shape{n}).to(d)};
}

std::vector<double> train(DType precision, Device d, int steps) {
  Sequential net = small_net(d);
  SGD sgd(net.named_parameters(), {.lr = 0.05, .momentum = 0.9});
  if (precision == DType::f16) sgd.use(GradScaler(d));
  const Batch b = small_batch(d);
  const Autocast scope(precision);
  Scores scores;
  std::vector<double> losses;
  for (int t = 0; t < steps; ++t) losses.push_back(train_step(net, sgd, b.images, b.labels, scores));
  for (const auto& [name, parameter] : net.named_parameters()) {
    EXPECT_EQ(parameter.dtype(), DType::f32) << name;
    EXPECT_EQ(parameter.grad().dtype(), DType::f32) << name;
  }
  EXPECT_EQ(sgd.steps(), steps - (sgd.scaler() ? sgd.scaler()->skipped() : 0));
  return losses;
}

// Thirty steps reach the loss that f32 reaches. Rounding to 8 (bf16) or 11 bits moves a loss by a few times 2^-8 or
// 2^-11 of itself at first, and training follows another path from there: at its end it may be off by a tenth of the
// distance that f32 came. A step that an overflow skipped counts as one.
TEST(MixedPrecision, ThirtyStepsReachTheLossOfF32) {
  for (Device d : kDevices) {
    const std::vector<double> f32 = train(DType::f32, d, 30);
    EXPECT_LT(f32.back(), 0.1 * f32.front());
    for (DType p : {DType::bf16, DType::f16}) {
      SCOPED_TRACE(format("{} on {}", p, d));
      const std::vector<double> losses = train(p, d, 30);
      EXPECT_LE(std::abs(losses.front() - f32.front()), 2 * epsilon(p) * f32.front());
      EXPECT_LE(std::abs(losses.back() - f32.back()), 0.1 * (f32.front() - f32.back()));
      EXPECT_LT(losses.back(), 0.15 * losses.front());
    }
  }
}

// ‖g − g64‖ ≤ c·eps·‖g64‖ for every parameter, g64 from the same network in double. Each of ten layers rounds its
// result and its gradient once, each by at most eps/2; the gelu, norms and the loss pass a relative error on by a
// factor of a few at most.
TEST(MixedPrecision, GradientsAreThoseOfADouble) {
  Sequential net = small_net({});
  const Batch b = small_batch({});
  std::vector<Tensor> exact;
  {
    Sequential wide = small_net({});
    for (auto& [name, module] : wide.named_modules()) {
      const Parts parts = module->parts();
      for (const auto* list : {&parts.parameters, &parts.buffers})
        for (auto& [part, t] : *list)
          if (*t) *t = t->detach().to(DType::f64).requires_grad_(list == &parts.parameters);
    }
    cross_entropy(wide(b.images.to(DType::f64)), b.labels).backward();
    for (const Tensor& t : wide.parameters()) exact.push_back(t.grad());
  }
  for (DType p : {DType::bf16, DType::f16}) {
    net.zero_grad();
    const double scale = p == DType::f16 ? 1024 : 1;
    const Autocast scope(p);
    (cross_entropy(net(b.images), b.labels) * scale).backward();
    size_t i = 0;
    for (const auto& [name, parameter] : net.named_parameters()) {
      const std::vector<double> g = parameter.grad().to_vector<double>(), e = exact[i++].to_vector<double>();
      double difference = 0, size = 0;
      for (size_t k = 0; k < g.size(); ++k) {
        difference += (g[k] / scale - e[k]) * (g[k] / scale - e[k]);
        size += e[k] * e[k];
      }
      EXPECT_LE(std::sqrt(difference), 5 * epsilon(p) * std::sqrt(size)) << name << " in " << to_string(p);
    }
  }
}

TEST(MixedPrecision, NothingIsAllocatedAfterTheFirstStep) {
  const ThreadLimit one(1);
  for (DType p : {DType::f32, DType::bf16, DType::f16}) {
    Sequential net = small_net({});
    SGD sgd(net.named_parameters(), {.lr = 0.05, .momentum = 0.9});
    if (p == DType::f16) sgd.use(GradScaler());
    const Batch b = small_batch({});
    const Autocast scope(p);
    Scores scores;
    train_step(net, sgd, b.images, b.labels, scores);
    const size_t warm = memory_stats(Device::cpu).system_allocations;
    for (int t = 0; t < 5; ++t) train_step(net, sgd, b.images, b.labels, scores);
    EXPECT_EQ(memory_stats(Device::cpu).system_allocations, warm) << to_string(p);
  }
}

// ---- Loss scaling ----

std::map<std::string, std::vector<float>> bits(const State& state) {
  std::map<std::string, std::vector<float>> all;
  for (const auto& [name, t] : state)
    if (!name.starts_with("scaler.")) all[name] = t.to_vector<float>();
  return all;
}

template <class Make>
void expect_overflow_changes_nothing(Device d, const Make& make) {
  Sequential net = small_net(d);
  auto optimizer = make(net);
  optimizer.use(GradScaler(d, {.scale = 64, .interval = 3}));
  const Batch b = small_batch(d);
  const Autocast scope(DType::f16);
  Scores scores;
  for (int t = 0; t < 2; ++t) train_step(net, optimizer, b.images, b.labels, scores);
  ASSERT_EQ(optimizer.scaler()->skipped(), 0);
  ASSERT_EQ(optimizer.steps(), 2);

  // A loss so large that its gradients are infinite in f16.
  const State before = clone(optimizer.state()), weights = clone(net.state());
  const auto overflow = [&] {
    net.zero_grad();
    optimizer.scaled(cross_entropy(net(b.images), b.labels) * 1e7).backward();
    bool infinite = false;
    for (const Tensor& t : net.parameters())
      for (const float g : t.grad().template to_vector<float>()) infinite |= !std::isfinite(g);
    ASSERT_TRUE(infinite);
    optimizer.step(1, {.max_norm = 1});
  };
  overflow();
  for (const auto& [name, parameter] : net.named_parameters())
    EXPECT_EQ(parameter.template to_vector<float>(), weights.at(name).template to_vector<float>()) << name;
  EXPECT_EQ(bits(optimizer.state()), bits(before));  // momenta, moments and the step count
  EXPECT_EQ(optimizer.scaler()->current(), 32);
  EXPECT_EQ(optimizer.scaler()->skipped(), 1);
  EXPECT_EQ(optimizer.steps(), 2);
  overflow();
  EXPECT_EQ(optimizer.scaler()->current(), 16);

  // And on: after `interval` good steps S doubles, and no sooner.
  for (int t = 0; t < 3; ++t) {
    EXPECT_EQ(optimizer.scaler()->current(), 16);
    train_step(net, optimizer, b.images, b.labels, scores);
  }
  EXPECT_EQ(optimizer.scaler()->current(), 32);
  EXPECT_EQ(optimizer.steps(), 5);
  EXPECT_NE(bits(optimizer.state()), bits(before));
}

TEST(LossScale, AnOverflowChangesNothingButTheScale) {
  for (Device d : kDevices) {
    SCOPED_TRACE(to_string(d));
    expect_overflow_changes_nothing(
        d, [](Sequential& m) { return SGD(m.named_parameters(), {.lr = 0.05, .momentum = 0.9}); });
    expect_overflow_changes_nothing(d, [](Sequential& m) { return AdamW(m.named_parameters(), {.lr = 0.01}); });
  }
}

// S is a power of two: dividing by it what was multiplied by it gives the bits of no scaling, clipping included. With
// one step skipped on the way, AdamW's t is that of the run without it.
TEST(LossScale, IsExact) {
  for (Device d : kDevices)
    for (const bool skip : {false, true}) {
      SCOPED_TRACE(format("{}{}", d, skip ? ", one step skipped" : ""));
      const auto run = [&](bool scale) {
        const Tensor p = full({5}, 0.5, DType::f32, d);
        p.requires_grad_();
        AdamW adamw({{"p", p}}, {.lr = 0.1});
        if (scale) adamw.use(GradScaler(d, {.scale = 4096}));
        for (int t = 0; t < 5; ++t) {
          const Tensor x = from(std::vector<float>{0.3f, -1, 2, 0.01f, 5}, {5}).to(d);
          if (scale && skip && t == 2) {
            p.set_grad(full({5}, INFINITY, DType::f32, d));
            adamw.step();
            adamw.zero_grad();
          }
          adamw.scaled(sum(square(p * x - 1.0))).backward();
          adamw.step(1, {.max_norm = 3});
          adamw.zero_grad();
        }
        return p.to_vector<float>();
      };
      const std::vector<float> with = run(true), without = run(false);
      for (size_t i = 0; i < with.size(); ++i)
        // After a skipped step the bias corrections are computed on the device, in float: a few ulp.
        EXPECT_LE(std::abs(with[i] - without[i]), skip ? 4e-6 : 0.0) << i;
    }
}

TEST(LossScale, TheStateSurvives) {
  const auto make = [](const Tensor& p) {
    auto sgd = std::make_unique<SGD>(TensorList{{"p", p}}, SGDOptions{.lr = 0.1, .momentum = 0.9});
    sgd->use(GradScaler({}, {.interval = 3}));
    return sgd;
  };
  const Tensor a = full({3}, 1).requires_grad_(), b = full({3}, 1).requires_grad_();
  const auto first = make(a), second = make(b);
  for (const float g : {1.f, INFINITY, NAN, 1.f, 1.f}) {
    a.set_grad(full({3}, static_cast<double>(g)));
    first->step();
  }
  EXPECT_EQ(first->scaler()->current(), 16384);
  second->load_state(clone(first->state()));
  EXPECT_EQ(second->steps(), 3);
  EXPECT_EQ(second->scaler()->current(), 16384);
  EXPECT_EQ(second->scaler()->skipped(), 2);
  a.set_grad(full({3}, 1));
  first->step();
  EXPECT_EQ(first->scaler()->current(), 32768);  // the third good step in a row
  b.set_grad(full({3}, 1));
  second->step();
  EXPECT_EQ(second->scaler()->current(), 32768);
  EXPECT_EQ(bits(first->state()), bits(second->state()));

  SGD plain({{"p", full({3}, 1).requires_grad_()}}, {.lr = 0.1, .momentum = 0.9});
  EXPECT_ERROR(plain.load_state(first->state()), "scaler.scale");
  EXPECT_ERROR(second->load_state(plain.state()), "scaler.scale");
  State broken = clone(first->state());
  broken["scaler.scale"] = full({}, NAN);
  EXPECT_ERROR(second->load_state(broken), "cannot have scale");
  EXPECT_EQ(second->scaler()->current(), 32768);
}

TEST(LossScale, StaysWithinItsBounds) {
  const Tensor p = full({3}, 1).requires_grad_();
  SGD sgd({{"p", p}}, {.lr = 0.1});
  sgd.use(GradScaler({}, {.scale = 0x1p22, .interval = 1}));
  for (int t = 0; t < 5; ++t) {
    p.set_grad(full({3}, 1));
    sgd.step();
  }
  EXPECT_EQ(sgd.scaler()->current(), 0x1p24);
  for (int t = 0; t < 60; ++t) {
    p.set_grad(full({3}, NAN));
    sgd.step();
  }
  EXPECT_EQ(sgd.scaler()->current(), 0x1p-24);
  EXPECT_EQ(sgd.scaler()->skipped(), 60);
}

TEST(LossScale, BadOptions) {
  EXPECT_ERROR(GradScaler({}, {.scale = 0}), "GradScaler: scale");
  EXPECT_ERROR(GradScaler({}, {.scale = NAN}), "GradScaler: scale");
  EXPECT_ERROR(GradScaler({}, {.growth = 0.5}), "GradScaler: growth");
  EXPECT_ERROR(GradScaler({}, {.backoff = 0}), "GradScaler: backoff");
  EXPECT_ERROR(GradScaler({}, {.interval = 0}), "GradScaler: interval");
  const Tensor p = full({3}, 1, DType::f32, Device::simt).requires_grad_();
  SGD sgd({{"p", p}}, {.lr = 0.1});
  sgd.use(GradScaler());
  p.set_grad(zeros({3}, DType::f32, Device::simt));
  EXPECT_ERROR(sgd.step(), "the scaler is on cpu");
  EXPECT_ERROR(sgd.scaled(zeros({}, DType::f64)), "mul");
}

}  // namespace
}  // namespace holt::nn
