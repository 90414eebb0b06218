// Names, freezing, state, clones, random state: what every module gets from its list of parts.
#include <gtest/gtest.h>

#include <thread>

#include "core/autograd.h"
#include "nn/layers.h"
#include "nn/models/registry.h"
#include "nn/sequential.h"
#include "nn/state.h"
#include "tests/harness/expect_error.h"
#include "tests/harness/tensors.h"

namespace holt::nn {
namespace {

Sequential small(Generator& g) {
  return Sequential(Conv2d(1, 2, 3, g, {.padding = 1}), BatchNorm2d(2), ReLU(), Flatten(), Dropout(0.5, g),
                    Linear(32, 3, g));
}

std::vector<std::string> names(const TensorList& tensors) {
  std::vector<std::string> all;
  for (auto& [name, t] : tensors) all.push_back(name);
  return all;
}

using test::values;

void fill(const Tensor& t, float v) {
  std::fill_n(t.data<float>(), t.numel(), v);
  t.bump_version();
}

using Strings = std::vector<std::string>;

TEST(Module, NamesFollowTheParts) {
  Generator g(1);
  Sequential m = small(g);
  EXPECT_EQ(names(m.named_parameters()), (Strings{"0.weight", "0.bias", "1.weight", "1.bias", "5.weight", "5.bias"}));
  EXPECT_EQ(names(m.named_buffers()), (Strings{"1.running_mean", "1.running_var"}));
  EXPECT_EQ(m.parameter_count(), 2 * 9 + 2 + 2 + 2 + 96 + 3);
  Strings state;
  for (auto& [name, t] : m.state()) state.push_back(name);
  EXPECT_EQ(state, (Strings{"0.bias", "0.weight", "1.bias", "1.running_mean", "1.running_var", "1.weight", "5.bias",
                            "5.weight"}));
}

TEST(Module, AbsentBiasIsNoParameter) {
  Generator g(1);
  Linear m(3, 2, g, {.bias = false});
  EXPECT_EQ(names(m.named_parameters()), (Strings{"weight"}));
}

TEST(Module, TrainAndEvalReachAllLayers) {
  Generator g(1);
  Sequential m = small(g);
  EXPECT_TRUE(m[1].training());
  m.eval();
  for (auto& [name, layer] : m.named_modules()) EXPECT_FALSE(layer->training()) << name;
  m.train();
  for (auto& [name, layer] : m.named_modules()) EXPECT_TRUE(layer->training()) << name;
}

TEST(Module, ForEachFindsLayersByClass) {
  Generator g(1);
  Sequential m = small(g);
  Strings found;
  m.for_each<BatchNorm2d>([&](const std::string& name, BatchNorm2d& bn) {
    found.push_back(name);
    bn.statistics = BatchNorm2d::Statistics::frozen;
  });
  EXPECT_EQ(found, (Strings{"1"}));
  EXPECT_EQ(m[1].label(), "BatchNorm2d(2, frozen statistics)");
}

Strings trainable(const Module& m) {
  Strings all;
  for (auto& [name, t] : m.named_parameters())
    if (t.requires_grad()) all.push_back(name);
  return all;
}

TEST(Freezing, ByPattern) {
  Generator g(1);
  Sequential m = small(g);
  EXPECT_EQ(m.requires_grad("*", false), 6);
  EXPECT_EQ(trainable(m), Strings{});
  EXPECT_EQ(m.requires_grad("5.*", true), 2);
  EXPECT_EQ(trainable(m), (Strings{"5.weight", "5.bias"}));
  EXPECT_EQ(m.requires_grad("[01].weight , *.bias", true), 5);
  EXPECT_EQ(trainable(m), (Strings{"0.weight", "0.bias", "1.weight", "1.bias", "5.weight", "5.bias"}));
  EXPECT_EQ(m.parameter_count(true), m.parameter_count());
}

TEST(Freezing, DropsTheGradient) {
  Generator g(1);
  Linear m(2, 2, g);
  m.weight.set_grad(zeros({2, 2}));
  m.requires_grad("weight", false);
  EXPECT_FALSE(m.weight.grad().defined());
}

TEST(Freezing, APatternThatMatchesNothingChangesNothing) {
  Generator g(1);
  auto m = make_model({.name = "resnet8", .classes = 10, .channels = 1, .height = 8, .width = 8}, g);
  const int64_t before = m->parameter_count(true);
  const std::string text = error_of([&] { m->requires_grad("conv1.*,layer1.0.conv3.weight", false); });
  EXPECT_EQ(text.find("requires_grad: the pattern 'layer1.0.conv3.weight' matches no parameter; the nearest are "
                      "layer1.0.conv1.weight, layer1.0.conv2.weight, "),
            0u)
      << text;
  EXPECT_EQ(m->parameter_count(true), before);
  // A module's own name: people forget the star.
  const std::string module = error_of([&] { m->requires_grad("layer1", false); });
  EXPECT_NE(module.find("nearest are layer1.*"), std::string::npos) << module;
  EXPECT_NE(error_of([&] { m->requires_grad("", false); }), kNoError);
}

TEST(State, SharesMemoryAndLoadsInPlace) {
  Generator g(1);
  Sequential a = small(g), b = small(g);
  const Tensor before = b.parameters()[0];
  EXPECT_NE(values(before), values(a.parameters()[0]));
  EXPECT_TRUE(b.load_state(a.state()).empty());
  EXPECT_EQ(before.raw(), b.parameters()[0].raw());  // an optimiser's hold stays good
  EXPECT_EQ(values(before), values(a.parameters()[0]));
  EXPECT_TRUE(b.parameters()[0].requires_grad());
  fill(a.parameters()[0], 7);
  EXPECT_EQ(values(a.state().at("0.weight"))[0], 7);
  EXPECT_NE(values(before)[0], 7);
}

TEST(State, OneErrorListsEverythingAndChangesNothing) {
  Generator g(1);
  Sequential m = small(g);
  State s = nn::clone(m.state());
  s.erase("0.weight");
  s.erase("1.running_var");
  s["extra"] = zeros({1});
  s["5.weight"] = zeros({4, 32});
  s["5.bias"] = zeros({3}, DType::f64);
  fill(s.at("0.bias"), 5);
  const std::vector<float> before = values(m.state().at("0.bias"));
  EXPECT_EQ(error_of([&] { m.load_state(s); }),
            "load_state: the state does not fit this module\n"
            "  missing (2): 0.weight, 1.running_var\n"
            "  unexpected (1): extra\n"
            "  misshapen (2): 5.bias: expected f32 [3], got f64 [3], 5.weight: expected f32 [3, 32], got f32 [4, 32]");
  EXPECT_EQ(values(m.state().at("0.bias")), before);
  EXPECT_EQ(error_of([&] { m.load_state(s, false); }),
            "load_state: the state does not fit this module\n"
            "  misshapen (2): 5.bias: expected f32 [3], got f64 [3], 5.weight: expected f32 [3, 32], got f32 [4, 32]");
  s.erase("5.weight");
  s.erase("5.bias");
  EXPECT_EQ(m.load_state(s, false), (Strings{"0.weight", "1.running_var", "5.bias", "5.weight", "extra"}));
  EXPECT_EQ(values(m.state().at("0.bias")), values(s.at("0.bias")));
}

TEST(State, ErrorsStopAtTenNames) {
  Generator g(1);
  Linear m(2, 2, g);
  State s = m.state();
  for (int i = 10; i < 23; ++i) s[format("x{}", i)] = zeros({1});
  EXPECT_EQ(error_of([&] { m.load_state(s); }),
            "load_state: the state does not fit this module\n"
            "  unexpected (13): x10, x11, x12, x13, x14, x15, x16, x17, x18, x19 and 3 more");
}

TEST(State, LoadingBetweenForwardAndBackwardIsCaught) {
  Generator g(1);
  Linear m(3, 2, g);
  const Tensor x = uniform({4, 3}, -1, 1, g);
  x.requires_grad_();
  const Tensor y = m(x);
  m.load_state(nn::clone(m.state()));
  EXPECT_THROW(y.backward(zeros({4, 2})), Error);
}

TEST(Clone, OwnsItsTensors) {
  Generator g(1);
  auto m = make_model({.name = "resnet8", .classes = 4, .channels = 1, .height = 8, .width = 8}, g);
  m->requires_grad("conv1.*", false);
  m->eval();
  m->for_each<BatchNorm2d>([](auto&, BatchNorm2d& bn) { bn.statistics = BatchNorm2d::Statistics::frozen; });
  auto c = clone(*m);
  EXPECT_EQ(c->config(), m->config());
  EXPECT_FALSE(c->training());
  c->for_each<BatchNorm2d>([](auto&, BatchNorm2d& bn) { EXPECT_EQ(bn.statistics, BatchNorm2d::Statistics::frozen); });
  const TensorList a = m->named_parameters(), b = c->named_parameters();
  ASSERT_EQ(names(a), names(b));
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_NE(a[i].second.raw(), b[i].second.raw()) << a[i].first;
    EXPECT_EQ(values(a[i].second), values(b[i].second)) << a[i].first;
    EXPECT_EQ(a[i].second.requires_grad(), b[i].second.requires_grad()) << a[i].first;
    EXPECT_TRUE(b[i].second.is_leaf());
  }
  for (size_t i = 0; i < m->buffers().size(); ++i) EXPECT_NE(m->buffers()[i].raw(), c->buffers()[i].raw());
  fill(c->parameters()[0], 9);
  EXPECT_NE(values(m->parameters()[0])[0], 9);
}

// What a training step leaves in the parameters' gradients.
std::vector<float> first_gradient(Model& m, const Tensor& x, const Tensor& labels) {
  m.zero_grad();
  cross_entropy(m(x), labels).backward();
  return values(m.parameters()[0].grad());
}

TEST(Clone, TrainsInAnotherThread) {
  Generator g(1);
  auto m = make_model(
      {.name = "lenet", .classes = 3, .channels = 1, .height = 12, .width = 12, .options = {{"dropout", "0.5"}}}, g);
  const Tensor x = uniform({8, 12, 12, 1}, -1, 1, g);
  const Tensor labels = from<int64_t>({0, 1, 2, 0, 1, 2, 0, 1}, Shape{8});
  auto reference = clone(*m);
  const std::vector<float> expected = first_gradient(*reference, x, labels);
  std::vector<std::vector<float>> got(4);
  std::vector<std::unique_ptr<Model>> locals;
  for (size_t i = 0; i < got.size(); ++i) locals.push_back(clone(*m));
  std::vector<std::thread> threads;
  for (size_t i = 0; i < got.size(); ++i)
    threads.emplace_back([&, i] { got[i] = first_gradient(*locals[i], x, labels); });
  for (auto& t : threads) t.join();
  for (auto& gradient : got) EXPECT_EQ(gradient, expected);
}

TEST(RandomState, ContinuesAndReseeds) {
  Generator g(1);
  Dropout d(0.5, g), e(0.5, g);
  EXPECT_NE(d.generator.seed, e.generator.seed);
  const Tensor x = full({64}, 1);
  d(x);
  const State s = d.random_state();
  ASSERT_EQ(s.size(), 1u);
  const std::vector<float> second = values(d(x));
  EXPECT_NE(values(d(x)), second);
  d.load_random_state(s);
  EXPECT_EQ(values(d(x)), second);
  EXPECT_EQ(error_of([&] { d.load_random_state({}); }),
            "load_random_state: the state of generator 'generator' is missing");
  auto a = clone(d), b = clone(d);
  a->reseed(1);
  b->reseed(2);
  EXPECT_NE(values((*a)(x)), values((*b)(x)));
  b->reseed(1);
  a->reseed(1);
  EXPECT_EQ(values((*a)(x)), values((*b)(x)));
}

TEST(Describe, TableOfLayers) {
  Generator g(1);
  Sequential m = small(g);
  m[4].train(false);
  m.requires_grad("0.*", false);
  EXPECT_EQ(m.describe({8, 4, 4, 1}),
            "layer                               output        parameters\n"
            "Sequential                          [8, 3]                  \n"
            "  0: Conv2d(1 → 2, 3×3, padding 1)  [8, 4, 4, 2]          20\n"
            "  1: BatchNorm2d(2)                 [8, 4, 4, 2]           4\n"
            "  2: ReLU                           [8, 4, 4, 2]            \n"
            "  3: Flatten                        [8, 32]                 \n"
            "  4: Dropout(0.5)                   [8, 32]                 \n"
            "  5: Linear(32 → 3)                 [8, 3]                99\n"
            "123 parameters, 103 of them trained\n");
  EXPECT_TRUE(m[0].training());
  EXPECT_FALSE(m[4].training());
}

TEST(Watch, SeesEveryLayerInOrder) {
  Generator g(1);
  Sequential m = small(g);
  Strings seen;
  {
    const Watch watch(
        [&](const Module& layer, const Tensor& y) { seen.push_back(layer.label() + to_string(y.shape())); });
    m(zeros({1, 4, 4, 1}));
  }
  m(zeros({1, 4, 4, 1}));
  EXPECT_EQ(seen,
            (Strings{"Conv2d(1 → 2, 3×3, padding 1)[1, 4, 4, 2]", "BatchNorm2d(2)[1, 4, 4, 2]", "ReLU[1, 4, 4, 2]",
                     "Flatten[1, 32]", "Dropout(0.5)[1, 32]", "Linear(32 → 3)[1, 3]", "Sequential[1, 3]"}));
}

TEST(StateArithmetic, InterpolateAndAverageAreExactAtTheEnds) {
  Generator g(1);
  const State a{{"w", uniform({100}, -1, 1, g)}}, b{{"w", uniform({100}, -1, 1, g)}};
  EXPECT_EQ(values(interpolate(a, b, 0).at("w")), values(a.at("w")));
  EXPECT_EQ(values(interpolate(a, b, 1).at("w")), values(b.at("w")));
  for (double alpha : {0.1, 0.3, 0.7, 1.5})
    EXPECT_EQ(values(interpolate(a, a, alpha).at("w")), values(a.at("w"))) << alpha;
  const std::vector<float> x = values(a.at("w")), y = values(b.at("w"));
  const std::vector<float> mixed = values(interpolate(a, b, 0.3).at("w"));
  const std::vector<State> three = {a, b, b}, same = {a, a, a};
  const std::vector<float> mean = values(average(three).at("w"));
  for (size_t i = 0; i < x.size(); ++i) {
    // Each of three roundings is at most half an ulp of numbers below 2.
    EXPECT_NEAR(mixed[i], 0.7 * x[i] + 0.3 * y[i], 3 * 0x1p-24);
    EXPECT_NEAR(mean[i], (x[i] + 2.0 * y[i]) / 3, 6 * 0x1p-24);
  }
  EXPECT_EQ(values(average(same).at("w")), x);
}

TEST(StateArithmetic, Errors) {
  const State a{{"w", zeros({2})}};
  EXPECT_EQ(error_of([&] { average({}); }), "average: at least one state is needed");
  EXPECT_EQ(error_of([&] {
              interpolate(a, {{"w", zeros({3})}}, 0.5);
            }),
            "interpolate: 'w' is f32 [2] on cpu in one state and f32 [3] on cpu in the other");
  EXPECT_EQ(error_of([&] { interpolate(a, {{"v", zeros({2})}}, 0.5); }), "interpolate: only one of the states has 'w'");
}

}  // namespace
}  // namespace holt::nn
