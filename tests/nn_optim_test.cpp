// Optimisers against the formulas in double; groups, schedules, frozen parameters, saved and restored state, clipping.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "kernels/philox.h"
#include "nn/optim.h"
#include "tests/harness/expect_error.h"
#include "tests/harness/worst.h"

namespace holt::nn {
namespace {

using Doubles = std::vector<double>;

// Parameters of several sizes, with gradients that depend on step and element.
TensorList make_parameters(Device device = {}) {
  TensorList list;
  Generator g(5);
  for (int64_t n : {1, 33, 4099}) {
    const Tensor t = uniform({n}, -1, 1, g, DType::f32, device);
    t.requires_grad_();
    list.emplace_back(format("p{}", n), t);
  }
  return list;
}

void set_gradients(const TensorList& list, int step) {
  Generator g(static_cast<uint64_t>(100 + step));
  for (auto& [name, t] : list) t.set_grad(uniform(t.shape(), -1, 1, g, DType::f32, t.device()));
}

// The same walk in double; `update` does one step of parameter i.
using Update = std::function<void(Doubles& x, const Doubles& g, size_t i, int step)>;

std::vector<Doubles> reference(int steps, const Update& update) {
  const TensorList list = make_parameters();
  std::vector<Doubles> x;
  for (auto& [name, t] : list) x.push_back(t.to_vector<double>());
  for (int step = 1; step <= steps; ++step) {
    set_gradients(list, step);
    for (size_t i = 0; i < list.size(); ++i) update(x[i], list[i].second.grad().to_vector<double>(), i, step);
  }
  return x;
}

// A float step rounds a handful of times, each at most half an ulp of a number below 4 (parameters start within ±1 and
// move less than 3): ten steps of ten roundings.
constexpr double kTolerance = 100 * 2 * 0x1p-24;

void expect_near(const TensorList& list, const std::vector<Doubles>& expected) {
  for (size_t i = 0; i < list.size(); ++i) {
    const Doubles got = list[i].second.to_vector<double>();
    double worst = 0;
    for (size_t k = 0; k < got.size(); ++k) test::raise(worst, std::abs(got[k] - expected[i][k]));
    EXPECT_LE(worst, kTolerance) << list[i].first;
  }
}

const std::vector<Device> kCpuAndSimt = {Device::cpu, Device::simt};

TEST(SGD, MatchesTheFormula) {
  for (const SGDOptions o : {SGDOptions{.lr = 0.1}, SGDOptions{.lr = 0.05, .momentum = 0.9},
                             SGDOptions{.lr = 0.05, .momentum = 0.9, .nesterov = true, .weight_decay = 0.01}}) {
    std::vector<Doubles> velocity(3);
    const auto expected = reference(10, [&](Doubles& x, const Doubles& gradient, size_t i, int) {
      velocity[i].resize(x.size());
      for (size_t k = 0; k < x.size(); ++k) {
        const double g = gradient[k] + o.weight_decay * x[k];
        double& v = velocity[i][k];
        v = o.momentum * v + g;
        x[k] -= o.lr * (o.nesterov ? g + o.momentum * v : v);
      }
    });
    for (Device device : kCpuAndSimt) {
      const TensorList list = make_parameters(device);
      SGD sgd(list, o);
      for (int step = 1; step <= 10; ++step) {
        set_gradients(list, step);
        sgd.step();
      }
      EXPECT_EQ(sgd.steps(), 10);
      expect_near(list, expected);
    }
  }
}

TEST(AdamW, MatchesTheFormula) {
  const AdamWOptions o{.lr = 0.02, .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8, .weight_decay = 0.1};
  std::vector<Doubles> m(3), v(3);
  const auto expected = reference(10, [&](Doubles& x, const Doubles& g, size_t i, int t) {
    m[i].resize(x.size());
    v[i].resize(x.size());
    for (size_t k = 0; k < x.size(); ++k) {
      m[i][k] = o.beta1 * m[i][k] + (1 - o.beta1) * g[k];
      v[i][k] = o.beta2 * v[i][k] + (1 - o.beta2) * g[k] * g[k];
      const double mean = m[i][k] / (1 - std::pow(o.beta1, t)), square = v[i][k] / (1 - std::pow(o.beta2, t));
      x[k] -= o.lr * (mean / (std::sqrt(square) + o.eps) + o.weight_decay * x[k]);
    }
  });
  for (Device device : kCpuAndSimt) {
    const TensorList list = make_parameters(device);
    AdamW adamw(list, o);
    for (int step = 1; step <= 10; ++step) {
      set_gradients(list, step);
      adamw.step();
    }
    expect_near(list, expected);
  }
}

Tensor parameter(const std::vector<float>& values) {
  const Tensor t = from(values, {static_cast<int64_t>(values.size())});
  t.requires_grad_();
  return t;
}

void set_grad(const Tensor& t, float g) { t.set_grad(full(t.shape(), g)); }

TEST(Optimizer, GroupsHaveTheirOwnSettings) {
  const Tensor a = parameter({1}), b = parameter({1}), c = parameter({1});
  SGD sgd({{.parameters = {{"a", a}}},
           {.parameters = {{"b", b}}, .lr = 0.25},
           {.parameters = {{"c", c}}, .weight_decay = 0.0}},
          {.lr = 0.5, .weight_decay = 1});
  for (const Tensor& t : {a, b, c}) set_grad(t, 1);
  sgd.step();
  EXPECT_EQ(a.item(), 1 - 0.5 * 2);
  EXPECT_EQ(b.item(), 1 - 0.25 * 2);
  EXPECT_EQ(c.item(), 1 - 0.5 * 1);
  sgd.step(0.5);  // the schedule's factor reaches all groups; a: g + x = 1, b: 1.5, c: 1
  EXPECT_EQ(a.item(), 0 - 0.25 * 1);
  EXPECT_EQ(b.item(), 0.5 - 0.125 * 1.5);
  EXPECT_EQ(c.item(), 0.5 - 0.25 * 1);
  sgd.groups()[0].lr = 0;
  sgd.step();
  EXPECT_EQ(a.item(), -0.25);
}

TEST(Optimizer, ParametersWithoutAGradientStay) {
  const Tensor a = parameter({1}), b = parameter({2});
  AdamW adamw({{"a", a}, {"b", b}}, {.lr = 0.1, .weight_decay = 0.5});
  set_grad(a, 1);
  adamw.step();
  EXPECT_NE(a.item(), 1);
  EXPECT_EQ(b.item(), 2);
  const State s = adamw.state();
  EXPECT_EQ(s.count("exp_avg.a"), 1u);
  EXPECT_EQ(s.count("exp_avg.b"), 0u);
  adamw.zero_grad();
  EXPECT_FALSE(a.grad().defined());
  const double before = a.item();
  adamw.step();
  EXPECT_EQ(a.item(), before);
}

TEST(Optimizer, WritesAreSeenByAutograd) {
  const Tensor a = parameter({1});
  const uint64_t version = a.storage()->version;
  SGD sgd({{"a", a}}, {.lr = 1});
  set_grad(a, 1);
  sgd.step();
  EXPECT_GT(a.storage()->version, version);
}

template <class O, class Options>
void expect_resume(const Options& options) {
  const TensorList whole = make_parameters(), halves = make_parameters();
  O uninterrupted(whole, options);
  State saved;
  {
    O first(halves, options);
    for (int step = 0; step < 3; ++step) {
      set_gradients(halves, step);
      first.step();
    }
    for (auto& [name, t] : first.state()) saved[name] = t.clone();
  }
  O second(halves, options);
  second.load_state(saved);
  EXPECT_EQ(second.steps(), 3);
  for (int step = 0; step < 6; ++step) {
    set_gradients(whole, step);
    uninterrupted.step();
    if (step < 3) continue;
    set_gradients(halves, step);
    second.step();
  }
  for (size_t i = 0; i < whole.size(); ++i)
    EXPECT_EQ(whole[i].second.to_vector<float>(), halves[i].second.to_vector<float>()) << whole[i].first;
}

TEST(Optimizer, ResumesBitForBit) {
  expect_resume<SGD>(SGDOptions{.lr = 0.1, .momentum = 0.9, .nesterov = true});
  expect_resume<SGD>(SGDOptions{.lr = 0.1});
  expect_resume<AdamW>(AdamWOptions{.lr = 0.1});
}

TEST(Optimizer, ForeignStateIsAnErrorAndChangesNothing) {
  const Tensor a = parameter({1}), b = parameter({2, 3});
  SGD sgd({{"a", a}, {"b", b}}, {.lr = 1, .momentum = 0.5});
  set_grad(a, 1);
  sgd.step();
  AdamW adamw({{"a", a}, {"b", b}});
  set_grad(b, 1);
  adamw.step();
  EXPECT_EQ(error_of([&] { sgd.load_state(adamw.state()); }),
            "load_state: the state does not fit this SGD\n  unexpected (4): exp_avg.a, exp_avg.b, exp_avg_sq.a, "
            "exp_avg_sq.b");
  EXPECT_EQ(
      error_of([&] {
        sgd.load_state({{"step", sgd.state().at("step")}, {"momentum.b", zeros({3})}, {"momentum.c", zeros({1})}});
      }),
      "load_state: the state does not fit this SGD\n  unexpected (1): momentum.c\n  misshapen (1): momentum.b: "
      "expected f32 [2], got f32 [3]");
  EXPECT_EQ(error_of([&] { sgd.load_state({}); }), "load_state: the state does not fit this SGD\n  missing (1): step");
  EXPECT_EQ(sgd.steps(), 1);
  EXPECT_EQ(sgd.state().at("momentum.a").item(), 1);
  EXPECT_EQ(sgd.state().count("momentum.b"), 0u);
}

TEST(Optimizer, BadOptions) {
  const Tensor a = parameter({1});
  EXPECT_EQ(error_of([&] { SGD({{"a", a}}, {.lr = -1}); }), "SGD: lr must not be negative, got -1");
  EXPECT_EQ(error_of([&] {
              SGD({{"a", a}}, {.lr = 1, .momentum = 0, .nesterov = true});
            }),
            "SGD: nesterov needs a momentum");
  EXPECT_EQ(error_of([&] { AdamW({{"a", a}}, {.beta1 = 1}); }), "AdamW: beta1 must be in [0, 1), got 1");
  EXPECT_EQ(error_of([&] { SGD({{"a", a}, {"a", a}}, {.lr = 1}); }), "SGD: two parameters are called 'a'");
}

TEST(Clipping, ScalesTheGradientsTogether) {
  for (Device device : kCpuAndSimt) {
    const Tensor a = zeros({2}, DType::f32, device), b = zeros({1}, DType::f32, device),
                 unused = zeros({7}, DType::f32, device);
    for (const Tensor& t : {a, b, unused}) t.requires_grad_();
    SGD sgd({{.parameters = {{"a", a}, {"unused", unused}}}, {.parameters = {{"b", b}}, .lr = 0.5}}, {.lr = 1});
    EXPECT_EQ(error_of([&] { sgd.last_grad_norm(); }), "SGD: no step was clipped yet, so no norm was computed");
    a.set_grad(from(std::vector<float>{3, 0}, {2}, DType::f32, device));
    b.set_grad(from(std::vector<float>{-4}, {1}, DType::f32, device));
    EXPECT_FLOAT_EQ(static_cast<float>(grad_norm({a, b, unused})), 5);
    sgd.step(1, {.max_norm = 10});  // short enough: the plain step
    EXPECT_EQ(a.to_vector<float>(), (std::vector<float>{-3, 0}));
    EXPECT_EQ(b.to_vector<float>(), (std::vector<float>{2}));
    EXPECT_FLOAT_EQ(static_cast<float>(sgd.last_grad_norm()), 5);
    sgd.step(1, {.max_norm = 1});  // a fifth (PyTorch adds 1e-6 to the norm)
    const std::vector<float> x = a.to_vector<float>();
    EXPECT_NEAR(x[0], -3.6, 1e-6);
    EXPECT_EQ(x[1], 0);
    EXPECT_NEAR(b.to_vector<float>()[0], 2.4, 1e-6);
    EXPECT_EQ(a.grad().to_vector<float>(), (std::vector<float>{3, 0}));  // the gradients themselves stay
    EXPECT_EQ(error_of([&] { sgd.step(1, {.max_norm = 0}); }), "SGD: max_norm must be positive, got 0");
  }
  EXPECT_EQ(grad_norm({zeros({3})}), 0);
}

}  // namespace
}  // namespace holt::nn
