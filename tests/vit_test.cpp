// Vision transformers: parameter counts, names, the fused residual stream against the definition, gradients, resampled
// position embeddings.
#include "nn/models/vit.h"

#include <gtest/gtest.h>

#include "core/autocast.h"
#include "core/autograd.h"
#include "nn/models/registry.h"
#include "tests/harness/expect_error.h"
#include "tests/harness/tensors.h"

namespace holt::nn {
namespace {

using test::values;

ModelConfig toy(int64_t height = 8, int64_t width = 12) {
  return {.name = "toy", .classes = 3, .channels = 2, .height = height, .width = width};
}
constexpr ViTOptions kToy{.patch = 4, .features = 16, .depth = 3, .heads = 2};

// timm's counts for 1000 classes and 224×224.
TEST(ViT, ParameterCounts) {
  Generator g(1);
  for (auto [name, count] : {std::pair{"vit_ti_16", 5717416}, {"vit_s_16", 22050664}}) {
    const ModelConfig c{.name = name, .classes = 1000, .channels = 3, .height = 224, .width = 224};
    EXPECT_EQ(make_model(c, g)->parameter_count(), count) << name;
  }
}

TEST(ViT, NamesAreTimms) {
  Generator g(1);
  ViT m(toy(), kToy, g);
  const State s = m.state();
  for (const char* name :
       {"cls_token", "pos_embed", "patch_embed.proj.weight", "patch_embed.proj.bias", "blocks.0.norm1.weight",
        "blocks.2.attn.qkv.bias", "blocks.1.attn.proj.weight", "blocks.0.norm2.bias", "blocks.0.mlp.fc1.weight",
        "blocks.0.mlp.fc2.bias", "norm.weight", "head.weight", "head.bias"})
    EXPECT_TRUE(s.contains(name)) << name;
  EXPECT_EQ(s.size(), 4u + 3u * 12u + 4u);
  EXPECT_EQ(s.at("pos_embed").shape(), (Shape{1, 7, 16}));
}

// φ as the paper writes it, norm by norm and sum by sum.
Tensor by_definition(ViT& m, const Tensor& images) {
  const int64_t n = images.size(0);
  std::vector<Tensor> first(static_cast<size_t>(n), m.cls_token);
  Tensor x = concat({concat(first), m.proj(images).reshape({n, -1, m.cls_token.size(2)})}, 1) + m.pos_embed;
  for (ViTBlock& b : m.blocks) {
    x = x + b.attn(b.norm1(x));
    x = x + b.mlp(b.norm2(x));
  }
  return slice(m.norm(x), 1, 0, 1).reshape({n, -1});
}

TEST(ViT, TheFusedStreamIsTheDefinition) {
  Generator g(1);
  ViT m(toy(), kToy, g);
  const Tensor images = uniform({3, 8, 12, 2}, -1, 1, g);
  const auto a = values(m.features(images)), b = values(by_definition(m, images));
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 2e-5);
  EXPECT_EQ(values(m.classifier()(m.features(images))), values(m(images)));

  // And so are its gradients.
  std::map<std::string, std::vector<float>> fused;
  sum(square(m.features(images))).backward();
  for (auto& [name, p] : m.named_parameters())
    if (p.grad()) fused[name] = values(p.grad());
  EXPECT_EQ(fused.size(), m.named_parameters().size() - 2);  // all but the head's
  m.zero_grad();
  sum(square(by_definition(m, images))).backward();
  for (auto& [name, p] : m.named_parameters()) {
    if (!p.grad()) continue;
    const auto g2 = values(p.grad());
    double scale = 0;
    for (float v : g2) scale = std::max(scale, std::fabs(double(v)));
    for (size_t i = 0; i < g2.size(); ++i) EXPECT_NEAR(fused.at(name)[i], g2[i], 1e-4 * scale + 1e-6) << name;
  }
}

TEST(ViT, RunsIn16Bits) {
  Generator g(1);
  ViT m(toy(), kToy, g);
  const Tensor images = uniform({3, 8, 12, 2}, -1, 1, g);
  const auto exact = values(m.features(images));
  for (DType t : {DType::bf16, DType::f16}) {
    m.zero_grad();
    const Autocast scope(t);
    const Tensor f = m.features(images);
    EXPECT_EQ(f.dtype(), t);
    const auto rounded = values(f);
    // φ is normalised, of size about 1; a 16-bit residual stream of three blocks is off by a few times its epsilon.
    const double eps = t == DType::bf16 ? 1.0 / 128 : 1.0 / 1024;
    for (size_t i = 0; i < exact.size(); ++i) EXPECT_NEAR(rounded[i], exact[i], 8 * eps) << to_string(t);
    cross_entropy(m.classifier()(f), from<int64_t>({0, 1, 2}, Shape{3})).backward();
    for (auto& [name, p] : m.named_parameters()) {
      ASSERT_TRUE(p.grad().defined()) << name;
      EXPECT_EQ(p.grad().dtype(), DType::f32) << name;
    }
  }
}

TEST(ViT, ABlockAloneIsItsBranch) {
  Generator g(1);
  ViTBlock block({.features = 16, .heads = 2}, 0, g);
  const Tensor x = uniform({2, 5, 16}, -1, 1, g);
  const Tensor mid = x + block.attn(block.norm1(x));
  const auto a = values(block(x)), b = values(mid + block.mlp(block.norm2(mid)));
  for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-5);
}

TEST(ViT, DropPathDropsInTrainingOnly) {
  Generator g(1);
  ViTOptions o = kToy;
  o.drop_path = 0.9;
  ViT m(toy(), o, g);
  EXPECT_EQ(m.blocks[0].drop_path1.p, 0);
  EXPECT_NEAR(m.blocks[1].drop_path2.p, 0.45, 1e-12);
  const Tensor images = uniform({8, 8, 12, 2}, -1, 1, g);
  EXPECT_NE(values(m(images)), values(m(images)));
  m.eval();
  EXPECT_EQ(values(m(images)), values(m(images)));
}

TEST(ViT, PositionsOfTheSameGridStay) {
  Generator g(1);
  const Tensor pos = uniform({1, 13, 5}, -1, 1, g);
  const auto a = values(pos), b = values(interpolate_positions(pos, 3, 4, 3, 4));
  for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-6);
}

// torch.nn.functional.interpolate(x, size=…, mode="bicubic", antialias=True) of x[i, j] = i·i + 10·j (3×4),
// PyTorch 1.13.
TEST(ViT, PositionsAreResampledAsTorchDoes) {
  std::vector<float> x{99};
  for (int i = 0; i < 3; ++i)
    for (int j = 0; j < 4; ++j) x.push_back(static_cast<float>(i * i + 10 * j));
  const Tensor pos = from(x, {1, 13, 1});
  const auto check_all = [](const Tensor& t, std::vector<float> expected) {
    const auto got = values(t);
    ASSERT_EQ(got.size(), expected.size());
    for (size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], expected[i], 1e-4) << i;
  };
  check_all(interpolate_positions(pos, 3, 4, 2, 2), {99, 6.0973f, 24.3618f, 8.85814f, 27.1226f});
  check_all(
      interpolate_positions(pos, 3, 4, 4, 5),
      {99,       -0.48493f, 6.42862f, 14.9478f, 23.4669f, 30.3805f, -0.0164147f, 6.89713f, 15.4163f, 23.9354f, 30.849f,
       1.75721f, 8.67075f,  17.1899f, 25.709f,  32.6226f, 3.72403f, 10.6376f,    19.1567f, 27.6759f, 34.5894f});
}

TEST(ViT, Errors) {
  Generator g(1);
  EXPECT_ERROR(make_model({.name = "vit_ti_16", .channels = 3, .height = 32, .width = 30}, g),
               "multiples of 16 pixels high and wide, got 32×30");
  ViT m(toy(), kToy, g);
  EXPECT_ERROR(m(zeros({1, 8, 8, 2})), "toy: images must be [N, 8, 12, 2]");
  EXPECT_ERROR(interpolate_positions(zeros({1, 12, 4}), 3, 4, 2, 2), "must be [1, 13, D]");
  EXPECT_ERROR(interpolate_positions(zeros({1, 13, 4}), 3, 4, 0, 2), "0×2");
}

}  // namespace
}  // namespace holt::nn
