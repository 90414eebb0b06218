// Names of weights: the naming schemes in both directions, and the model that names and shapes tell.
#include <gtest/gtest.h>

#include <set>

#include "nn/weights/weights.h"
#include "tests/harness/small_models.h"

namespace holt::nn {
namespace {

using test::small_clip, test::small_resnet, test::small_vit;

TEST(WeightNames, AreThoseOfTheLibraries) {
  struct Name {
    const char *family, *scheme, *ours;
    std::vector<std::string> theirs;
  };
  const std::vector<Name> names = {
      {"resnet", "torchvision", "layer3.22.bn2.running_var", {"layer3.22.bn2.running_var"}},
      {"resnet", "hf", "conv1.weight", {"resnet.embedder.embedder.convolution.weight"}},
      {"resnet", "hf", "bn1.running_mean", {"resnet.embedder.embedder.normalization.running_mean"}},
      {"resnet", "hf", "layer1.0.conv1.weight", {"resnet.encoder.stages.0.layers.0.layer.0.convolution.weight"}},
      {"resnet", "hf", "layer4.2.bn3.bias", {"resnet.encoder.stages.3.layers.2.layer.2.normalization.bias"}},
      {"resnet",
       "hf",
       "layer2.0.downsample.0.weight",
       {"resnet.encoder.stages.1.layers.0.shortcut.convolution.weight"}},
      {"resnet",
       "hf",
       "layer2.0.downsample.1.running_var",
       {"resnet.encoder.stages.1.layers.0.shortcut.normalization.running_var"}},
      {"resnet", "hf", "fc.bias", {"classifier.1.bias"}},
      {"vit", "timm", "blocks.11.attn.qkv.bias", {"blocks.11.attn.qkv.bias"}},
      {"clip", "timm", "blocks.11.attn.qkv.bias", {"blocks.11.attn.qkv.bias"}},
      {"clip", "timm", "norm_pre.bias", {"norm_pre.bias"}},
      {"clip", "timm", "proj.weight", {"head.weight"}},
      {"vit", "torchvision", "cls_token", {"class_token"}},
      {"vit", "torchvision", "pos_embed", {"encoder.pos_embedding"}},
      {"vit", "torchvision", "patch_embed.proj.bias", {"conv_proj.bias"}},
      {"vit",
       "torchvision",
       "blocks.10.attn.qkv.weight",
       {"encoder.layers.encoder_layer_10.self_attention.in_proj_weight"}},
      {"vit",
       "torchvision",
       "blocks.0.attn.proj.bias",
       {"encoder.layers.encoder_layer_0.self_attention.out_proj.bias"}},
      {"vit", "torchvision", "blocks.3.norm2.weight", {"encoder.layers.encoder_layer_3.ln_2.weight"}},
      {"vit", "torchvision", "blocks.3.mlp.fc2.weight", {"encoder.layers.encoder_layer_3.mlp.3.weight"}},
      {"vit", "torchvision", "norm.bias", {"encoder.ln.bias"}},
      {"vit", "torchvision", "head.weight", {"heads.head.weight"}},
      {"vit", "hf", "pos_embed", {"vit.embeddings.position_embeddings"}},
      {"vit",
       "hf",
       "blocks.7.attn.qkv.bias",
       {"vit.encoder.layer.7.attention.attention.query.bias", "vit.encoder.layer.7.attention.attention.key.bias",
        "vit.encoder.layer.7.attention.attention.value.bias"}},
      {"vit", "hf", "blocks.7.attn.proj.weight", {"vit.encoder.layer.7.attention.output.dense.weight"}},
      {"vit", "hf", "blocks.7.mlp.fc1.bias", {"vit.encoder.layer.7.intermediate.dense.bias"}},
      {"vit", "hf", "blocks.7.mlp.fc2.bias", {"vit.encoder.layer.7.output.dense.bias"}},
      {"vit", "hf", "norm.weight", {"vit.layernorm.weight"}},
      {"vit", "hf", "head.bias", {"classifier.bias"}},
  };
  for (const Name& n : names) {
    const Scheme& scheme = *find_scheme(n.family, n.scheme);
    const std::vector<TheirName> theirs = their_names(scheme, n.ours);
    ASSERT_EQ(theirs.size(), n.theirs.size()) << n.ours;
    for (size_t i = 0; i < theirs.size(); ++i) EXPECT_EQ(theirs[i].name, n.theirs[i]);
  }
  // Those that are read and never written.
  const Scheme &hf = *find_scheme("vit", "hf"), &torchvision = *find_scheme("vit", "torchvision");
  EXPECT_EQ(our_name(torchvision, "encoder.layers.encoder_layer_4.mlp.linear_2.bias").name, "blocks.4.mlp.fc2.bias");
  EXPECT_EQ(our_name(hf, "vit.layers.4.attention.k_proj.weight").name, "blocks.4.attn.qkv.weight");
  EXPECT_EQ(our_name(hf, "vit.layers.4.attention.k_proj.weight").piece, 1);
  EXPECT_TRUE(is_unused(hf, "vit.pooler.dense.bias"));
  EXPECT_TRUE(is_unused(*find_scheme("resnet", "torchvision"), "layer1.0.bn1.num_batches_tracked"));
  for (const char* none : {"vit.encoder.layer.x.output.dense.bias", "vit.encoder.layer..output.dense.bias", "",
                           "vit.encoder.layer.07.output.dense.bias", "vit.encoder.layer.1234567.output.dense.bias",
                           "vit.layernorm.weight.more", "vit.layernorm."})
    EXPECT_EQ(our_name(hf, none).name, "") << none;
  EXPECT_EQ(their_names(*find_scheme("resnet", "hf"), "layer0.0.conv1.weight").size(), 0u);  // counted from 1
}

TEST(WeightNames, GoBothWaysInEveryScheme) {
  const ResNet basic = small_resnet(1), bottleneck = small_resnet(1, true);
  const ViT vit = small_vit(1);
  const ClipViT clip = small_clip(1);
  for (const Model* model : {static_cast<const Model*>(&basic), static_cast<const Model*>(&bottleneck),
                             static_cast<const Model*>(&vit), static_cast<const Model*>(&clip)})
    for (const Scheme& s : schemes()) {
      if (s.family != family_of(model->config())) continue;
      std::set<std::string> all;
      for (const auto& [name, t] : model->state()) {
        if (!has_classifier(s) && name.starts_with("head.")) continue;
        const std::vector<TheirName> theirs = their_names(s, name);
        ASSERT_FALSE(theirs.empty()) << s.name << " " << name;
        for (size_t i = 0; i < theirs.size(); ++i) {
          EXPECT_TRUE(all.insert(theirs[i].name).second) << theirs[i].name;
          const TheirName back = our_name(s, theirs[i].name);
          EXPECT_EQ(back.name, name) << theirs[i].name;
          EXPECT_EQ(back.piece, static_cast<int64_t>(i));
          EXPECT_EQ(back.pieces, std::ssize(theirs));
        }
      }
    }
}

TEST(WeightNames, ClipsFilesHaveNoClassifier) {
  for (const Scheme& s : schemes()) EXPECT_EQ(has_classifier(s), s.family != "clip") << s.family << " " << s.name;
}

// By names and shapes alone.
TEST(WeightsGuess, EveryModel) {
  const Tensor t = zeros({1});
  const auto resnet = [&](std::array<int, 4> blocks, bool bottleneck) {
    WeightFile f{"x", "PyTorch", {{"conv1.weight", zeros({64, 3, 7, 7})}, {"fc.weight", zeros({11, 8})}}, {}};
    for (int i = 0; i < 4; ++i)
      for (int b = 0; b < blocks[static_cast<size_t>(i)]; ++b)
        for (int k = 1; k <= (bottleneck ? 3 : 2); ++k)
          f.tensors.emplace_back(format("layer{}.{}.conv{}.weight", i + 1, b, k), t);
    return recognise(std::move(f)).config;
  };
  EXPECT_EQ(resnet({2, 2, 2, 2}, false).name, "resnet18");
  EXPECT_EQ(resnet({3, 4, 6, 3}, false).name, "resnet34");
  EXPECT_EQ(resnet({3, 4, 6, 3}, true).name, "resnet50");
  EXPECT_EQ(resnet({3, 4, 23, 3}, true).name, "resnet101");
  EXPECT_EQ(resnet({3, 8, 36, 3}, true).name, "");
  EXPECT_EQ(resnet({2, 2, 2, 2}, false).classes, 11);
  EXPECT_EQ(resnet({2, 2, 2, 2}, false).height, 224);

  const auto vit = [&](int64_t features, int depth, int64_t patch, int64_t side, bool clip = false) {
    WeightFile f{"x",
                 "PyTorch",
                 {{"patch_embed.proj.weight", zeros({features, 3, patch, patch})},
                  {"pos_embed", zeros({1, 1 + side * side, features})}},
                 {}};
    for (int b = 0; b < depth; ++b) f.tensors.emplace_back(format("blocks.{}.attn.qkv.weight", b), t);
    if (clip) f.tensors.emplace_back("norm_pre.weight", t);
    return recognise(std::move(f)).config;
  };
  EXPECT_EQ(vit(192, 12, 16, 14).name, "vit_ti_16");
  EXPECT_EQ(vit(384, 12, 16, 14).name, "vit_s_16");
  EXPECT_EQ(vit(768, 12, 16, 24).name, "vit_b_16");
  EXPECT_EQ(vit(768, 12, 16, 24).height, 384);
  EXPECT_EQ(vit(768, 12, 32, 7).name, "vit_b_32");
  EXPECT_EQ(vit(768, 12, 32, 7).height, 224);
  EXPECT_EQ(vit(1024, 24, 16, 14).name, "vit_l_16");
  EXPECT_EQ(vit(1024, 24, 32, 7).name, "");
  EXPECT_EQ(vit(1280, 32, 14, 16).name, "");
  EXPECT_EQ(vit(768, 12, 16, 14, true).name, "clip_vit_b_16");
  EXPECT_EQ(vit(768, 12, 32, 7, true).name, "clip_vit_b_32");
  EXPECT_EQ(vit(384, 12, 16, 14, true).name, "");
}

}  // namespace
}  // namespace holt::nn
