// CLIP's image tower: against PyTorch (tests/golden/make_clip.py), its head from a file, by name.
#include "nn/models/clip_vit.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>

#include "core/autograd.h"
#include "core/ops.h"
#include "core/safetensors.h"
#include "nn/models/registry.h"
#include "tests/harness/expect_error.h"
#include "tests/harness/worst.h"

namespace holt::nn {
namespace {

namespace fs = std::filesystem;

// A file that is gone with the test.
struct Temporary {
  std::string path = (fs::temp_directory_path() / format("holt_clip_test.{}.safetensors", getpid())).string();
  ~Temporary() { fs::remove(path); }
};

// The largest error relative to the largest number.
double distance_of(const Tensor& got, const Tensor& expected) {
  EXPECT_EQ(got.shape(), expected.shape());
  const auto a = got.to_vector<float>(), b = expected.to_vector<float>();
  double worst = 0, largest = 0;
  for (size_t i = 0; i < b.size(); ++i) {
    test::raise(worst, std::fabs(double{a[i]} - double{b[i]}));
    largest = std::max(largest, std::fabs(double{b[i]}));
  }
  return worst / largest;
}

// OpenAI's names and layouts in holt's.
State from_openai(const NamedTensors& file) {
  State s;
  const auto at = [&](const std::string& name) { return file.at("visual." + name); };
  const auto both = [&](const std::string& ours, const std::string& theirs) {
    for (const char* part : {".weight", ".bias"}) s[ours + part] = at(theirs + part);
  };
  const Tensor positions = at("positional_embedding"), cls = at("class_embedding");
  s["cls_token"] = cls.reshape({1, 1, -1});
  s["pos_embed"] = positions.reshape({1, positions.size(0), -1});
  s["patch_embed.proj.weight"] = permute(at("conv1.weight"), {0, 2, 3, 1});
  s["proj.weight"] = transpose(at("proj"), 0, 1);
  both("norm_pre", "ln_pre");
  both("norm", "ln_post");
  for (int i = 0; i < 2; ++i) {
    const std::string ours = format("blocks.{}.", i), theirs = format("transformer.resblocks.{}.", i);
    s[ours + "attn.qkv.weight"] = at(theirs + "attn.in_proj_weight");
    s[ours + "attn.qkv.bias"] = at(theirs + "attn.in_proj_bias");
    both(ours + "attn.proj", theirs + "attn.out_proj");
    both(ours + "norm1", theirs + "ln_1");
    both(ours + "norm2", theirs + "ln_2");
    both(ours + "mlp.fc1", theirs + "mlp.c_fc");
    both(ours + "mlp.fc2", theirs + "mlp.c_proj");
  }
  return s;
}

ClipViT tiny() {
  Generator g(1);
  return ClipViT({.name = "tiny", .classes = 5, .channels = 3, .height = 12, .width = 12},
                 {.patch = 4, .features = 24, .depth = 2, .heads = 3, .representation = 8}, g);
}

TEST(ClipViT, IsPyTorchs) {
  const Safetensors golden = read_safetensors(HOLT_SOURCE_DIR "/tests/golden/clip.safetensors");
  const auto expected = [&](const char* name) { return golden.tensors.at(name); };
  const Temporary head;
  write_safetensors(head.path, {{"class_embeddings", expected("embeddings")}}, golden.metadata);
  ClipViT m = tiny();
  m.eval();
  State state = from_openai(golden.tensors);
  state["head.weight"] = read_zero_shot_head(head.path).weight;
  state["head.bias"] = zeros({5});
  m.load_state(state);

  const Tensor images = permute(expected("images"), {0, 2, 3, 1});
  EXPECT_LE(distance_of(m.features(images), expected("features")), 1e-5);
  const Tensor logits = m(images);
  EXPECT_LE(distance_of(logits, expected("logits")), 1e-5);
  sum(square(logits)).backward();
  EXPECT_LE(distance_of(permute(m.proj.weight.grad(), {0, 3, 1, 2}), expected("conv1_gradient")), 1e-4);
  EXPECT_LE(distance_of(m.blocks[0].mlp.fc1.weight.grad(), expected("fc_gradient")), 1e-4);
}

TEST(ClipViT, PartsAndLength) {
  ClipViT m = tiny();
  const State s = m.state();
  for (const char* name : {"norm_pre.weight", "norm_pre.bias", "proj.weight", "patch_embed.proj.weight", "head.weight"})
    EXPECT_TRUE(s.contains(name)) << name;
  EXPECT_FALSE(s.contains("patch_embed.proj.bias"));
  EXPECT_FALSE(s.contains("proj.bias"));
  // By the formula that gives 87,849,216 for B/32 (OpenAI's count) with D = 768: 24 here, head apart.
  const int64_t block = 12 * 24 * 24 + 13 * 24, all = 24 * 48 + 24 + 10 * 24 + 4 * 24 + 2 * block + 24 * 8 + 5 * 8 + 5;
  EXPECT_EQ(m.parameter_count(), all);
  Generator g(2);
  const Tensor length = sum(square(m.features(normal({3, 12, 12, 3}, 0, 1, g))), {1});
  for (const float v : length.to_vector<float>()) EXPECT_NEAR(v, 1, 1e-5);
  const std::unique_ptr<ClipViT> copy = clone(m);
  EXPECT_EQ(copy->state().size(), s.size());
}

// Of the features of length 1, as the classifier sees them: in training zeros and the rest larger, the same for the
// same seed and others in every step; in evaluation nothing.
TEST(ClipViT, DropoutIsOfTheFeatures) {
  const auto made = [](uint64_t seed) {
    Generator g(seed);
    return ClipViT({.name = "tiny", .classes = 5, .channels = 3, .height = 12, .width = 12},
                   {.patch = 4, .features = 24, .depth = 2, .heads = 3, .dropout = 0.25, .representation = 64}, g);
  };
  const auto values = [](const Tensor& t) { return t.to_vector<float>(); };
  Generator g(2);
  const Tensor x = normal({8, 12, 12, 3}, 0, 1, g);
  ClipViT m = made(1), same = made(1);
  EXPECT_TRUE(m.training());
  const std::vector<float> dropped = values(m.features(x));
  EXPECT_EQ(values(same.features(x)), dropped);
  EXPECT_NE(values(m.features(x)), dropped);
  m.reseed(7), same.reseed(7);
  const std::vector<float> logits = values(m(x));
  EXPECT_EQ(values(same(x)), logits);

  m.eval();
  const Tensor f = m.features(x);
  const std::vector<float> whole = values(f);
  EXPECT_EQ(values(m.features(x)), whole);
  EXPECT_NE(values(m(x)), logits);
  for (const float v : values(sum(square(f), {1}))) EXPECT_NEAR(v, 1, 1e-5);
  int zeros = 0;
  for (size_t i = 0; i < whole.size(); ++i) {
    if (dropped[i] == 0)
      ++zeros;
    else
      EXPECT_NEAR(dropped[i], whole[i] / 0.75f, 1e-4f * std::fabs(whole[i])) << i;
  }
  EXPECT_NEAR(static_cast<double>(zeros) / 512, 0.25, 0.08);

  // By name.
  ModelConfig named = parse_model("clip_vit_b_32:dropout=1.5");
  named.channels = 3, named.height = named.width = 32;
  EXPECT_ERROR(make_model(named, g), "option dropout must be a number from 0 to 0.99, got '1.5'");
}

TEST(ClipViT, TakesItsHeadFromAFile) {
  const Temporary file;
  Generator g(3);
  const Tensor images = normal({2, 12, 12, 3}, 0, 1, g), e = normal({5, 8}, 0, 1, g);
  write_safetensors(file.path, {{"class_embeddings", e}}, {{"logit_scale", "20"}});
  ModelConfig c = tiny().config();
  c.options["head"] = file.path;
  const ViTOptions o{.patch = 4, .features = 24, .depth = 2, .heads = 3, .representation = 8};
  const auto m = make_clip_vit(c, o, g);
  EXPECT_EQ(m->classifier().weight.to_vector<float>(), read_zero_shot_head(file.path).weight.to_vector<float>());
  EXPECT_TRUE(m->classifier().weight.requires_grad());
  for (const float logit : (*m)(images).to_vector<float>()) EXPECT_LE(std::fabs(logit), 20.001f);  // 20·cos
  EXPECT_EQ(m->config().options.at("head"), "");  // is built again without the file

  // By name, what does not fit is refused before the model is made.
  ModelConfig named = parse_model("clip_vit_b_32:head=" + file.path);
  named.classes = 6, named.channels = 3, named.height = named.width = 224;
  EXPECT_ERROR(make_model(named, g), "holds 5 embeddings of 8 numbers, expected the data's 6 classes and 512");
}

TEST(ZeroShotHead, NormalisesAndScales) {
  const Temporary file;
  const Tensor e = from(std::vector<float>{3, 4, 0, 0, 0, -2}, {2, 3});
  write_safetensors(file.path, {{"class_embeddings", e}}, {{"names", R"(["cat", "dog"])"}});
  const ZeroShotHead head = read_zero_shot_head(file.path);
  EXPECT_EQ(head.weight.to_vector<float>(), (std::vector<float>{60, 80, 0, 0, 0, -100}));
  EXPECT_EQ(head.names, (std::vector<std::string>{"cat", "dog"}));
  write_safetensors(file.path, {{"class_embeddings", e}, {"logit_scale", from(std::vector<float>{10}, {})}});
  EXPECT_EQ(read_zero_shot_head(file.path).weight.to_vector<float>(), (std::vector<float>{6, 8, 0, 0, 0, -10}));
}

TEST(ZeroShotHead, RefusesWhatItCannotRead) {
  const Temporary file;
  const auto refused = [&](const NamedTensors& tensors, const Metadata& metadata, const char* why) {
    write_safetensors(file.path, tensors, metadata);
    EXPECT_ERROR(read_zero_shot_head(file.path), why);
  };
  const Tensor e = full({2, 3}, 1), one = from(std::vector<float>{10}, {});
  refused({}, {}, "needs a tensor class_embeddings");
  refused({{"class_embeddings", full({6}, 1)}}, {}, "class_embeddings must be [C, D]");
  refused({{"class_embeddings", full({2, 3}, 1, DType::f64)}}, {}, "must be f32");
  refused({{"class_embeddings", zeros({2, 3})}}, {}, "class 0 must be finite and not zero");
  refused({{"class_embeddings", full({2, 3}, NAN)}}, {}, "class 0 must be finite and not zero");
  refused({{"class_embeddings", e}, {"more", e}}, {}, "unexpected tensor more");
  refused({{"class_embeddings", e}, {"logit_scale", full({2}, 1)}}, {}, "logit_scale must have one element");
  refused({{"class_embeddings", e}, {"logit_scale", zeros({})}}, {}, "logit_scale must be a positive number, got 0");
  refused({{"class_embeddings", e}, {"logit_scale", one}}, {{"logit_scale", "1"}}, "both in a tensor and in");
  refused({{"class_embeddings", e}}, {{"logit_scale", "ten"}}, "got 'ten'");
  refused({{"class_embeddings", e}}, {{"logit_scale", "nan"}}, "must be a positive number");
  refused({{"class_embeddings", e}}, {{"names", R"(["cat"])"}}, "1 names for 2 class embeddings");
  refused({{"class_embeddings", e}}, {{"names", "cat"}}, "must be a JSON list");
}

}  // namespace
}  // namespace holt::nn
