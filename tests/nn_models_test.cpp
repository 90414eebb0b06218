// The models: parameter counts, shapes, names, features and classifier, and training steps.
#include <gtest/gtest.h>

#include <cmath>

#include "core/autograd.h"
#include "nn/models/registry.h"
#include "nn/models/resnet_cifar.h"
#include "tests/harness/expect_error.h"
#include "tests/harness/small_models.h"
#include "tests/harness/tensors.h"

namespace holt::nn {
namespace {

using test::values;

// Models made of the parts of others, and large: counting their parameters is enough. Transformers want images of whole
// patches: vit_test.cpp.
bool tested_elsewhere(const ModelEntry& entry) {
  return entry.name == "resnet34" || entry.name == "resnet101" || entry.name.find("vit_") != std::string::npos;
}

ModelConfig cifar(const std::string& name) {
  return {.name = name, .classes = 10, .channels = 3, .height = 32, .width = 32};
}
ModelConfig mnist(const std::string& name) {
  return {.name = name, .classes = 10, .channels = 1, .height = 28, .width = 28};
}

TEST(Models, ParameterCounts) {
  Generator g(1);
  // He et al. 2016, table 6: 0.27 M for 20 layers. Option A adds nothing: stem 432 + 32; layer1 3·(2·2304 + 64);
  // layer2 4608 + 5·9216 + 6·64; layer3 18432 + 5·36864 + 6·128; classifier 650.
  EXPECT_EQ(make_model(cifar("resnet20"), g)->parameter_count(), 269722);
  ModelConfig b = cifar("resnet20");
  b.options["shortcut"] = "B";  // plus 16·32 + 64 and 32·64 + 128
  EXPECT_EQ(make_model(b, g)->parameter_count(), 269722 + 576 + 2176);
  EXPECT_EQ(make_model(mnist("resnet8"), g)->parameter_count(), 77754);
  EXPECT_EQ(make_model(cifar("resnet8"), g)->parameter_count(), 77754 + 2 * 144);
  // LeCun et al. 1998 with full connections: 156 + 2416 + 48120 + 10164 + 850.
  EXPECT_EQ(make_model(mnist("lenet"), g)->parameter_count(), 61706);
  EXPECT_EQ(make_model(mnist("mlp"), g)->parameter_count(), 784 * 256 + 256 + 256 * 256 + 256 + 2570);
}

// torchvision's counts for 1000 classes.
TEST(Models, ImageNetResNetsParameterCounts) {
  Generator g(1);
  for (auto [name, count] : {std::pair{"resnet18", 11689512}, {"resnet34", 21797672}, {"resnet50", 25557032}}) {
    const ModelConfig c{.name = name, .classes = 1000, .channels = 3, .height = 224, .width = 224};
    EXPECT_EQ(make_model(c, g)->parameter_count(), count) << name;
  }
}

TEST(Models, BottleneckHasItsStrideInThe3x3) {
  Generator g(1);
  Bottleneck block(16, 8, 2, g);
  EXPECT_EQ(block.conv1.stride, 1);
  EXPECT_EQ(block.conv2.stride, 2);
  EXPECT_EQ(block(uniform({2, 9, 7, 16}, -1, 1, g)).shape(), (Shape{2, 5, 4, 32}));
  EXPECT_EQ(Bottleneck(32, 8, 1, g).downsample.size(), 0u);
}

TEST(Models, DropPathDropsWholeBranches) {
  Generator g(1);
  BasicBlock block(4, 4, 1, g);
  block.drop_path = DropPath(0.5, g);
  const Tensor x = uniform({64, 3, 3, 4}, 0, 1, g);  // ≥ 0: relu leaves it
  const auto in = values(x), out = values(block(x));
  int dropped = 0;
  for (size_t n = 0; n < 64; ++n)
    dropped += std::equal(in.begin() + n * 36, in.begin() + (n + 1) * 36, out.begin() + n * 36);
  EXPECT_GT(dropped, 16);
  EXPECT_LT(dropped, 48);
  block.eval();  // with nothing dropped it is the block without drop_path, in one kernel
  const auto without = values(block(x));
  block.drop_path = DropPath();
  EXPECT_EQ(without, values(block(x)));

  // The mean over draws is the input.
  DropPath half(0.5, g);
  const auto y = values(half(full({10000, 1}, 1)));
  double sum = 0;
  for (float v : y) {
    EXPECT_TRUE(v == 0 || v == 2);
    sum += v;
  }
  EXPECT_NEAR(sum / 10000, 1, 0.05);
}

TEST(Models, ShapesForEveryModelAndSize) {
  Generator g(1);
  for (const ModelEntry& entry : models()) {
    if (tested_elsewhere(entry)) continue;
    for (auto [channels, height, width] : {std::array<int64_t, 3>{1, 28, 28}, {3, 32, 32}, {3, 13, 17}}) {
      auto m =
          make_model({.name = entry.name, .classes = 7, .channels = channels, .height = height, .width = width}, g);
      m->eval();
      const Tensor x = uniform({2, height, width, channels}, -1, 1, g);
      const Tensor f = m->features(x), logits = (*m)(x);
      EXPECT_EQ(f.shape(), (Shape{2, m->classifier().in_features()})) << entry.name;
      EXPECT_EQ(logits.shape(), (Shape{2, 7})) << entry.name;
      // f(x) = W·φ(x) + b
      EXPECT_EQ(values(m->classifier()(f)), values(logits)) << entry.name;
    }
  }
}

TEST(Models, ResNetStemStrideHalvesTheImage) {
  Generator g(1);
  ModelConfig c = parse_model("resnet8:stem_stride=2,shortcut=A");
  auto m = make_model(c, g);
  std::vector<Shape> blocks;
  {
    const Watch watch([&](const Module& layer, const Tensor& y) {
      if (layer.label() == "BasicBlock") blocks.push_back(y.shape());
    });
    m->features(uniform({2, 28, 28, 1}, -1, 1, g));
  }
  EXPECT_EQ(blocks, (std::vector<Shape>{{2, 14, 14, 16}, {2, 7, 7, 32}, {2, 4, 4, 64}}));
}

TEST(Models, ShortcutATakesEverySecondPixelAndZeros) {
  Generator g(1);
  BasicBlock block(2, 4, 2, BasicBlock::Shortcut::A, g);
  // With γ = 0 in the second norm only the shortcut is left.
  std::fill_n(block.bn2.weight.data<float>(), 4, 0.f);
  block.bn2.weight.bump_version();
  std::vector<float> x(2 * 3 * 3);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i + 1);
  const Tensor y = block(from(x, {1, 3, 3, 2}));
  EXPECT_EQ(y.shape(), (Shape{1, 2, 2, 4}));
  EXPECT_EQ(values(y), (std::vector<float>{1, 2, 0, 0, 5, 6, 0, 0, 13, 14, 0, 0, 17, 18, 0, 0}));
}

TEST(Models, NamesAreTorchvisions) {
  Generator g(1);
  auto m = make_model(mnist("resnet8"), g);
  const State s = m->state();
  for (const char* name : {"conv1.weight", "bn1.running_mean", "layer1.0.conv2.weight", "layer2.0.bn1.bias",
                           "layer2.0.downsample.0.weight", "layer2.0.downsample.1.running_var", "fc.weight", "fc.bias"})
    EXPECT_TRUE(s.count(name)) << name;
  EXPECT_FALSE(s.count("layer1.0.downsample.0.weight"));
  EXPECT_EQ(s.at("layer3.0.conv1.weight").shape(), (Shape{64, 3, 3, 32}));
  // Option A's constant is neither saved nor trained.
  ModelConfig a = mnist("resnet8");
  a.options["shortcut"] = "A";
  for (auto& [name, t] : make_model(a, g)->state()) EXPECT_EQ(name.find("pad"), std::string::npos) << name;
}

TEST(Models, DescribeListsLayersAndTotals) {
  Generator g(1);
  auto m = make_model(mnist("lenet"), g);
  m->requires_grad("conv*", false);
  EXPECT_EQ(m->describe({1, 28, 28, 1}),
            "layer                                        output           parameters\n"
            "lenet(classes 10, input 28×28×1, dropout 0)  [1, 10]                    \n"
            "  conv1: Conv2d(1 → 6, 5×5, padding 2)       [1, 28, 28, 6]          156\n"
            "  pool1: MaxPool2d(2×2)                      [1, 14, 14, 6]             \n"
            "  conv2: Conv2d(6 → 16, 5×5)                 [1, 10, 10, 16]       2,416\n"
            "  pool2: MaxPool2d(2×2)                      [1, 5, 5, 16]              \n"
            "  fc1: Linear(400 → 120)                     [1, 120]             48,120\n"
            "  fc2: Linear(120 → 84)                      [1, 84]              10,164\n"
            "  drop: Dropout(0)                           [1, 84]                    \n"
            "  fc: Linear(84 → 10)                        [1, 10]                 850\n"
            "61,706 parameters, 59,134 of them trained\n");
}

TEST(Models, ConfigsAreShownWithoutEmptyOptions) {
  ModelConfig c = parse_model("clip_vit_b_16:dropout=0.1");
  EXPECT_EQ(to_string(c), "clip_vit_b_16(classes 10, input 28×28×1, dropout 0.1)");
  c.options["head"] = "";  // as in a model's own configuration
  EXPECT_EQ(to_string(c), "clip_vit_b_16(classes 10, input 28×28×1, dropout 0.1)");
  c.options["head"] = "e.safetensors";
  EXPECT_EQ(to_string(c), "clip_vit_b_16(classes 10, input 28×28×1, dropout 0.1, head e.safetensors)");
  EXPECT_EQ(to_string(mnist("mlp")), "mlp(classes 10, input 28×28×1)");
}

TEST(Registry, Errors) {
  Generator g(1);
  EXPECT_EQ(error_of([&] { make_model(mnist("resnet9"), g); }),
            "model: no model 'resnet9'; known are mlp, lenet, resnet8, resnet20, resnet18, resnet34, resnet50, "
            "resnet101, vit_ti_16, vit_s_16, vit_b_16, vit_b_32, vit_l_16, clip_vit_b_16, clip_vit_b_32");
  ModelConfig c = mnist("resnet8");
  c.options["width"] = "2";
  EXPECT_EQ(error_of([&] { make_model(c, g); }), "resnet8: no option 'width'; it has shortcut, stem_stride");
  EXPECT_EQ(error_of([&] { make_model(parse_model("resnet8:stem_stride=two"), g); }),
            "resnet8: option stem_stride must be a number from 1 to 4, got 'two'");
  EXPECT_EQ(error_of([&] { make_model(parse_model("resnet8:shortcut=C"), g); }),
            "resnet8: option shortcut must be A or B, got 'C'");
  EXPECT_EQ(error_of([&] { parse_model("lenet:dropout"); }),
            "model: expected name or name:option=value,…, got 'dropout' in 'lenet:dropout'");
  EXPECT_EQ(error_of([&] { parse_model("mlp:hidden=1,hidden=2"); }),
            "model: option hidden stands twice in 'mlp:hidden=1,hidden=2'");
  EXPECT_EQ(error_of([&] { make_model({.name = "lenet", .height = 8, .width = 28}, g); }),
            "lenet: images must be at least 12×12, got 8×28");
  EXPECT_EQ(error_of([&] { make_model({.name = "mlp", .classes = 0}, g); }),
            "mlp: classes and the input's sizes must be positive, got 0 classes and 28×28×1 images");
  auto m = make_model(mnist("resnet8"), g);
  EXPECT_EQ(error_of([&] {
              (*m)(zeros({2, 28, 28, 3}));
            }),
            "resnet8: images must be [N, 28, 28, 1], got f32 [2, 28, 28, 3] on cpu");
}

// The backbone stays, bit for bit; the configuration follows, so that files of the model are read again.
TEST(Classifier, IsReplaced) {
  Generator g(1);
  const Tensor small = uniform({3, 28, 28, 1}, -1, 1, g), large = uniform({3, 32, 32, 3}, -1, 1, g);
  std::vector<std::pair<std::unique_ptr<Model>, Tensor>> all;
  for (const char* name : {"mlp", "lenet", "resnet8"}) all.emplace_back(make_model(mnist(name), g), small);
  all.emplace_back(make_model(cifar("resnet18"), g), large);
  all.emplace_back(clone(test::small_vit(1)), large);
  all.emplace_back(clone(test::small_clip(1)), large);
  for (auto& [m, x] : all) {
    const std::string name = m->config().name;
    m->eval();
    const std::vector<float> before = values(m->features(x));
    m->replace_classifier(23, g);
    EXPECT_EQ(values(m->features(x)), before) << name;
    EXPECT_EQ((*m)(x).shape(), (Shape{x.size(0), 23})) << name;
    EXPECT_EQ(m->config().classes, 23) << name;
    const bool transformer = name.find("vit") != std::string::npos;
    EXPECT_EQ(m->state().at(transformer ? "head.weight" : "fc.weight").size(0), 23) << name;
    EXPECT_FALSE(m->classifier().training()) << name;
    EXPECT_TRUE(m->classifier().weight.requires_grad() && m->classifier().bias.requires_grad()) << name;

    // One's own: every logit is the sum of the features and the bias.
    Linear head(m->classifier().in_features(), 2, g);
    head.weight = full(head.weight.shape(), 1);
    head.bias = full({2}, 3);
    m->replace_classifier(head);
    const Tensor f = m->features(x);
    EXPECT_NEAR((*m)(x).to_vector<float>()[1], sum(f, {-1}).to_vector<float>()[0] + 3, 1e-4) << name;
    EXPECT_EQ(m->config().classes, 2) << name;
  }
  // Vision transformers draw theirs with a standard deviation of 0.02, far below the standard of other layers, ¼ here.
  Model& vit = *all[4].first;
  vit.replace_classifier(1000, g);
  EXPECT_NEAR(std::sqrt(mean(square(vit.classifier().weight)).item()), 0.02, 0.002);

  EXPECT_EQ(error_of([&] { vit.replace_classifier(Linear(17, 3, g)); }),
            "vit_b_16: a classifier must take 16 features and have a bias, got Linear(17 → 3)");
  EXPECT_EQ(error_of([&] { vit.replace_classifier(Linear(16, 3, g, {.bias = false})); }),
            "vit_b_16: a classifier must take 16 features and have a bias, got Linear(16 → 3, no bias)");
  EXPECT_EQ(vit.config().classes, 1000);
}

// The option is of the features, as the classifier sees them: in training zeros and the rest larger, otherwise nothing.
TEST(Models, DropoutIsBeforeTheClassifier) {
  for (const char* name : {"resnet18", "vit_ti_16"}) {
    Generator g(1);
    ModelConfig c = parse_model(format("{}:dropout=0.25", name));
    c.channels = 3, c.height = c.width = 32;
    auto m = make_model(c, g);
    m->for_each<BatchNorm2d>([](auto&, BatchNorm2d& bn) { bn.statistics = BatchNorm2d::Statistics::frozen; });
    const Tensor x = uniform({4, 32, 32, 3}, -1, 1, g);
    const std::vector<float> dropped = values(m->features(x));
    m->eval();
    const std::vector<float> whole = values(m->features(x));
    int all = 0, zeros = 0;
    for (size_t i = 0; i < whole.size(); ++i) {
      if (whole[i] == 0) continue;  // by the last ReLU
      ++all;
      if (dropped[i] == 0)
        ++zeros;
      else
        EXPECT_NEAR(dropped[i], whole[i] / 0.75f, 1e-4f * std::fabs(whole[i])) << name;
    }
    EXPECT_GT(all, 500) << name;
    EXPECT_NEAR(static_cast<double>(zeros) / all, 0.25, 0.07) << name;
  }
}

// A step of length a/|g|² against the gradient lowers the loss by about a.
TEST(Training, OneStepReducesTheLossOfEveryModelAsTheGradientSays) {
  for (const ModelEntry& entry : models()) {
    if (tested_elsewhere(entry)) continue;
    Generator g(2);
    auto m = make_model({.name = entry.name, .classes = 4, .channels = 1, .height = 12, .width = 12}, g);
    const Tensor x = uniform({16, 12, 12, 1}, -1, 1, g);
    const Tensor labels = from<int64_t>({0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3}, Shape{16});
    const Tensor before = cross_entropy((*m)(x), labels);
    before.backward();
    const NoGrad no_grad;
    double squares = 0;
    for (auto& [name, p] : m->named_parameters()) {
      ASSERT_TRUE(p.grad().defined()) << entry.name << " " << name;
      squares += sum(square(p.grad())).item();
    }
    const double expected = 1e-3;
    for (auto& [name, p] : m->named_parameters()) m->load_state({{name, p - p.grad() * (expected / squares)}}, false);
    EXPECT_NEAR((before.item() - cross_entropy((*m)(x), labels).item()) / expected, 1, 0.2) << entry.name;
  }
}

TEST(Training, FrozenLayersCostNoBackward) {
  Generator g(1);
  auto m = make_model(mnist("resnet8"), g);
  m->requires_grad("*", false);
  m->requires_grad("layer3.*,fc.*", true);
  cross_entropy((*m)(uniform({2, 28, 28, 1}, -1, 1, g)), from<int64_t>({1, 2}, Shape{2})).backward();
  for (auto& [name, p] : m->named_parameters())
    EXPECT_EQ(p.grad().defined(), name.starts_with("layer3.") || name.starts_with("fc.")) << name;
  // φ below layer3 is not even recorded: nothing is kept for a backward that nobody wants.
  Tensor below;
  const Watch watch([&](const Module& layer, const Tensor& y) {
    if (!below && layer.label() == "Sequential" && y.size(-1) == 32) below = y;
  });
  m->features(uniform({2, 28, 28, 1}, -1, 1, g));
  ASSERT_TRUE(below.defined());
  EXPECT_FALSE(below.requires_grad());
}

}  // namespace
}  // namespace holt::nn
