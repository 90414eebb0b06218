// Pretrained weights: the naming schemes in both directions, files of each scheme and format, what is adapted and said,
// and what is refused.
#include "nn/weights/weights.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <set>

#include "core/ops.h"
#include "core/torch_file.h"
#include "kernels/file.h"
#include "nn/models/registry.h"
#include "nn/models/resnet.h"
#include "nn/models/vit.h"
#include "nn/state.h"
#include "nn/state_file.h"
#include "tests/harness/expect_error.h"

namespace holt::nn {
namespace {

namespace fs = std::filesystem;

// Narrow or shallow models of the real ones' names: the files of a test stay small.
ViT small_vit(uint64_t seed, int64_t classes = 5, int64_t size = 32, int64_t channels = 3) {
  Generator g(seed);
  return {{.name = "vit_b_16", .classes = classes, .channels = channels, .height = size, .width = size},
          {.patch = 16, .features = 16, .depth = 2, .heads = 2},
          g};
}
ResNet small_resnet(uint64_t seed, bool bottleneck = false, int64_t classes = 5, int64_t channels = 3) {
  Generator g(seed);
  ResNet r({.name = bottleneck ? "resnet50" : "resnet18",
            .classes = classes,
            .channels = channels,
            .height = 224,
            .width = 224},
           {.blocks = {1, 2, 0, 0}, .bottleneck = bottleneck}, g);
  for (auto& [name, t] : r.named_buffers()) {  // so that no two are the same
    const Tensor drawn = uniform(t.shape(), 0.5, 1.5, g);
    std::copy_n(drawn.data<float>(), t.numel(), t.data<float>());
  }
  return r;
}

void expect_same(const State& a, const State& b) {
  ASSERT_EQ(a.size(), b.size());
  for (const auto& [name, t] : a) {
    ASSERT_TRUE(b.contains(name)) << name;
    EXPECT_EQ(t.shape(), b.at(name).shape()) << name;
    EXPECT_EQ(t.to_vector<float>(), b.at(name).to_vector<float>()) << name;
  }
}
bool differs(const State& a, const State& b) {
  return std::any_of(a.begin(), a.end(), [&](auto& x) {
    return x.second.template to_vector<float>() != b.at(x.first).template to_vector<float>();
  });
}

class WeightsTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = fs::temp_directory_path() / format("holt_weights_test.{}", getpid());
    fs::create_directories(folder_);
  }
  static void TearDownTestSuite() { fs::remove_all(folder_); }
  static std::string path(const std::string& name) { return (folder_ / name).string(); }

  // A file with the model's weights under the scheme's names, changed by `change`.
  static std::string written(const Model& model, const char* scheme, const std::function<void(State&)>& change) {
    State s = to_theirs(*find_scheme(family_of(model.config()), scheme), model.state());
    change(s);
    write_safetensors(path("changed.safetensors"), s, {{"format", "pt"}});
    return path("changed.safetensors");
  }
  static inline fs::path folder_;
};

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
  for (const Model* model :
       {static_cast<const Model*>(&basic), static_cast<const Model*>(&bottleneck), static_cast<const Model*>(&vit)})
    for (const Scheme& s : schemes()) {
      if (s.family != family_of(model->config())) continue;
      std::set<std::string> all;
      for (const auto& [name, t] : model->state()) {
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

TEST_F(WeightsTest, EverySchemeAndFormatLoadsWhatWasSaved) {
  const ResNet resnet = small_resnet(1), bottleneck = small_resnet(1, true);
  const ViT vit = small_vit(1);
  for (const Model* model :
       {static_cast<const Model*>(&resnet), static_cast<const Model*>(&bottleneck), static_cast<const Model*>(&vit)})
    for (const char* scheme : {"torchvision", "timm", "hf", "holt"})
      for (const char* file : {"a.safetensors", "a.pth"}) {
        if (scheme == std::string("holt") && file == std::string("a.pth")) continue;
        save_weights(path(file), *model, scheme);
        const Weights w = read_weights(path(file));
        const std::string family = family_of(model->config());
        EXPECT_EQ(w.family, family);
        EXPECT_EQ(w.scheme, family == "resnet" && scheme == std::string("timm") ? "torchvision" : scheme);  // the same
        EXPECT_EQ(w.file.format, file == std::string("a.pth") ? "PyTorch" : "safetensors");
        EXPECT_EQ(w.config.classes, 5);
        EXPECT_EQ(w.config.height, model->config().height);
        EXPECT_EQ(w.config.channels, 3);
        std::unique_ptr<Model> other;
        if (model == &vit)
          other = std::make_unique<ViT>(small_vit(2));
        else
          other = std::make_unique<ResNet>(small_resnet(2, model == &bottleneck));
        ASSERT_TRUE(differs(model->state(), other->state()));
        EXPECT_EQ(load_weights(w, *other), std::vector<std::string>{}) << scheme << " " << file;
        expect_same(model->state(), other->state());
      }
}

TEST_F(WeightsTest, FilesHavePyTorchsLayoutAndCounters) {
  const ResNet model = small_resnet(3);
  save_weights(path("layout.safetensors"), model, "hf");
  const Safetensors file = read_safetensors(path("layout.safetensors"));
  EXPECT_EQ(file.metadata.at("format"), "pt");
  const Tensor theirs = file.tensors.at("resnet.encoder.stages.1.layers.0.layer.0.convolution.weight");
  const Tensor ours = model.state().at("layer2.0.conv1.weight");
  ASSERT_EQ(theirs.shape(), (Shape{128, 64, 3, 3}));
  ASSERT_EQ(ours.shape(), (Shape{128, 3, 3, 64}));
  for (const auto& [o, i, h, w] : {std::array{0, 0, 0, 0}, {127, 63, 2, 2}, {5, 17, 1, 2}, {80, 3, 2, 0}})
    EXPECT_EQ(theirs.data<float>()[((o * 64 + i) * 3 + h) * 3 + w], ours.data<float>()[((o * 3 + h) * 3 + w) * 64 + i]);
  const Tensor counter = file.tensors.at("resnet.embedder.embedder.normalization.num_batches_tracked");
  EXPECT_EQ(counter.dtype(), DType::i64);
  EXPECT_EQ(counter.rank(), 0);
  EXPECT_EQ(counter.item(), 0);
}

TEST_F(WeightsTest, AStateDictInsideACheckpoint) {
  const ViT model = small_vit(1);
  std::vector<std::pair<std::string, Tensor>> tensors = {{"optimizer.state.0.exp_avg", zeros({3})},
                                                         {"ema.module.cls_token", zeros({1, 1, 16})}};
  for (const auto& [name, t] : to_theirs(*find_scheme("vit", "timm"), model.state()))
    tensors.emplace_back("state_dict.module." + name, t);
  write_torch_file(path("checkpoint.pth"), tensors);
  const Weights w = read_weights(path("checkpoint.pth"));
  EXPECT_EQ(w.prefix, "state_dict.module.");
  EXPECT_EQ(w.unused, (std::vector<std::string>{"optimizer.state.0.exp_avg", "ema.module.cls_token"}));
  ViT other = small_vit(2);
  EXPECT_EQ(load_weights(w, other), std::vector<std::string>{});
  expect_same(model.state(), other.state());
}

TEST_F(WeightsTest, ABareBackboneOfHuggingFace) {
  const ViT model = small_vit(1);
  const std::string file = written(model, "hf", [](State& s) {
    State bare;
    for (const auto& [name, t] : s)
      if (name.starts_with("vit.")) bare[name.substr(4)] = t;
    bare["pooler.dense.weight"] = zeros({16, 16});
    s = bare;
  });
  const Weights w = read_weights(file);
  EXPECT_EQ(w.config.classes, 0);
  EXPECT_EQ(w.unused, (std::vector<std::string>{"pooler.dense.weight"}));
  ViT other = small_vit(2);
  const State before = clone(other.state());
  const auto notes = load_weights(w, other);
  ASSERT_EQ(notes.size(), 1u);
  EXPECT_EQ(notes[0], "the classifier is new, as drawn for 5 classes: the file has none");
  EXPECT_EQ(other.head.weight.to_vector<float>(), before.at("head.weight").to_vector<float>());
  EXPECT_EQ(other.cls_token.to_vector<float>(), model.cls_token.to_vector<float>());
}

TEST_F(WeightsTest, AnotherNumberOfClasses) {
  const ResNet model = small_resnet(1);
  save_weights(path("five.pth"), model, "torchvision");
  ResNet other = small_resnet(2, false, 7);
  const State before = clone(other.state());
  const auto notes = load_weights(read_weights(path("five.pth")), other);
  ASSERT_EQ(notes.size(), 1u);
  EXPECT_EQ(notes[0], "the classifier is new, as drawn for 7 classes: the file has one for 5");
  State expected = model.state();
  for (const char* name : {"fc.weight", "fc.bias"}) expected[name] = before.at(name);
  expect_same(other.state(), expected);
}

TEST_F(WeightsTest, AnotherImageSize) {
  const ViT model = small_vit(1, 5, 64);
  save_weights(path("64.safetensors"), model, "hf");
  const Weights w = read_weights(path("64.safetensors"));
  EXPECT_EQ(w.config.height, 64);
  ViT other = small_vit(2, 5, 96);
  const auto notes = load_weights(w, other);
  ASSERT_EQ(notes.size(), 1u);
  EXPECT_EQ(notes[0], "position embeddings are interpolated from 4×4 patches to 6×6");
  State expected = model.state();
  expected["pos_embed"] = interpolate_positions(model.pos_embed, 4, 4, 6, 6);
  expect_same(other.state(), expected);
}

TEST_F(WeightsTest, GrayImages) {
  const ResNet model = small_resnet(1);
  save_weights(path("rgb.safetensors"), model, "torchvision");
  ResNet gray = small_resnet(2, false, 5, 1);
  const auto notes = load_weights(read_weights(path("rgb.safetensors")), gray);
  ASSERT_EQ(notes.size(), 1u);
  EXPECT_EQ(notes[0], "conv1.weight: the weights of red, green and blue are summed for gray images");
  const auto rgb = model.conv1.weight.to_vector<float>(), sum = gray.conv1.weight.to_vector<float>();
  for (size_t i = 0; i < sum.size(); ++i) EXPECT_EQ(sum[i], rgb[3 * i] + rgb[3 * i + 1] + rgb[3 * i + 2]);
}

TEST_F(WeightsTest, OtherFloats) {
  const ViT model = small_vit(1);
  for (const DType dtype : {DType::f16, DType::bf16, DType::f64}) {
    const std::string file = written(model, "torchvision", [&](State& s) {
      for (auto& [name, t] : s)
        if (t.rank() > 1) t = t.to(dtype);
    });
    ViT other = small_vit(2);
    const auto notes = load_weights(read_weights(file), other);
    ASSERT_EQ(notes.size(), 1u);
    EXPECT_EQ(notes[0], format("12 tensors of {} are {} to f32", dtype, dtype == DType::f64 ? "rounded" : "widened"));
    EXPECT_EQ(other.head.weight.to_vector<float>(), model.head.weight.detach().to(dtype).to_vector<float>());
    EXPECT_EQ(other.norm.bias.to_vector<float>(), model.norm.bias.to_vector<float>());
  }
}

TEST_F(WeightsTest, OneErrorNamesWhatIsWrongAndNothingChanges) {
  const ViT model = small_vit(1);
  const std::string file = written(model, "hf", [](State& s) {
    s.erase("vit.encoder.layer.1.attention.attention.key.bias");
    s.erase("vit.layernorm.weight");
    s["vit.embeddings.distillation_token"] = zeros({1, 1, 16});
    s["vit.encoder.layer.0.output.dense.bias"] = zeros({17});
    s["vit.encoder.layer.0.attention.attention.value.weight"] = zeros({16, 8});
    s["vit.layernorm.bias"] = zeros({16}, DType::i64);
    s["vit.embeddings.position_embeddings"] = zeros({1, 6, 16});
  });
  ViT other = small_vit(2);
  const State before = clone(other.state());
  try {
    load_weights(read_weights(file), other);
    ADD_FAILURE() << "no Error";
  } catch (const Error& e) {
    EXPECT_EQ(
        e.message(),
        file +
            ": does not fit vit_b_16(classes 5, input 32×32×3)\n"
            "  missing (2): vit.encoder.layer.1.attention.attention.key.bias, vit.layernorm.weight\n"
            "  unexpected (1): vit.embeddings.distillation_token\n"
            "  misshapen (4): vit.encoder.layer.0.attention.attention.value.weight: expected [16, 16], got [16, "
            "8], vit.encoder.layer.0.output.dense.bias: expected [16], got [17], vit.layernorm.bias: expected f32 "
            "[16], got i64 [16], vit.embeddings.position_embeddings: expected [1, 5, 16], got [1, 6, 16]");
  }
  expect_same(other.state(), before);

  // Of many only ten.
  ResNet resnet = small_resnet(1);
  const std::string shallow = written(resnet, "torchvision", [](State& s) {
    std::erase_if(s, [](auto& x) { return x.first.starts_with("layer2."); });
  });
  EXPECT_ERROR(load_weights(read_weights(shallow), resnet), "missing (25): ");
  EXPECT_ERROR(load_weights(read_weights(shallow), resnet), " and 15 more");
}

TEST_F(WeightsTest, TheWrongFamilyIsSaid) {
  ViT vit = small_vit(1);
  ResNet resnet = small_resnet(1);
  save_weights(path("vit.pth"), vit, "torchvision");
  save_weights(path("resnet.pth"), resnet, "hf");
  EXPECT_ERROR(load_weights(read_weights(path("vit.pth")), resnet),
               "vit.pth: holds a vit with names of torchvision, expected resnet18");
  EXPECT_ERROR(load_weights(read_weights(path("resnet.pth")), vit),
               "resnet.pth: holds a resnet with names of hf, expected vit_b_16");
  Generator g;
  const auto lenet = make_model({.name = "lenet"}, g);
  EXPECT_ERROR(load_weights(read_weights(path("vit.pth")), *lenet), "lenet takes weights from holt's own files alone");
  save_model(path("lenet.safetensors"), *lenet);
  EXPECT_ERROR(load_weights(read_weights(path("lenet.safetensors")), vit), "holds lenet, expected vit_b_16");
  EXPECT_ERROR(save_weights(path("x.pth"), *lenet, "timm"), "lenet has no names of timm; known for it: holt");
  EXPECT_ERROR(save_weights(path("x.pth"), vit, "keras"), "known for it: holt, torchvision, timm, hf");
  EXPECT_ERROR(save_weights(path("x.pth"), vit, "holt"), "holt's own files are safetensors");
  EXPECT_FALSE(fs::exists(path("x.pth")));
}

TEST_F(WeightsTest, UnknownFiles) {
  write_safetensors(path("vgg.safetensors"),
                    {{"features.0.weight", zeros({2, 3, 3, 3})}, {"features.0.bias", zeros({2})}});
  EXPECT_ERROR(read_weights(path("vgg.safetensors")), "its 2 tensors are features.0.bias, features.0.weight");
  write_safetensors(path("none.safetensors"), {});
  EXPECT_ERROR(read_weights(path("none.safetensors")), "its 0 tensors are none");
  EXPECT_ERROR(read_weights(path("absent.safetensors")), "absent.safetensors");
  write_atomically(path("text.pth"), "hello, this is no archive");
  EXPECT_ERROR(read_weights(path("text.pth")), "text.pth");
  fs::create_directories(path("folder"));
  EXPECT_ERROR(read_weights(path("folder")), "neither model.safetensors nor pytorch_model.bin");
  save_weights(path("folder") + "/pytorch_model.bin", small_vit(1), "hf");
  EXPECT_EQ(read_weights(path("folder")).file.format, "PyTorch");
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

  const auto vit = [&](int64_t features, int depth, int64_t patch, int64_t side) {
    WeightFile f{"x",
                 "PyTorch",
                 {{"patch_embed.proj.weight", zeros({features, 3, patch, patch})},
                  {"pos_embed", zeros({1, 1 + side * side, features})}},
                 {}};
    for (int b = 0; b < depth; ++b) f.tensors.emplace_back(format("blocks.{}.attn.qkv.weight", b), t);
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
}

}  // namespace
}  // namespace holt::nn
