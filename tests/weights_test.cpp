// Pretrained weights: files of each scheme and format, what is adapted and said, and what is refused.
#include "nn/weights/weights.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "core/ops.h"
#include "core/torch_file.h"
#include "kernels/file.h"
#include "nn/models/registry.h"
#include "nn/state.h"
#include "nn/state_file.h"
#include "tests/harness/expect_error.h"
#include "tests/harness/small_models.h"

namespace holt::nn {
namespace {

namespace fs = std::filesystem;
using test::small_clip, test::small_resnet, test::small_vit;

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

// The towers' files have no classifier, and the text's tower beside the image's.
TEST_F(WeightsTest, ClipsImageTower) {
  const ClipViT model = small_clip(1, 5, 64);
  for (const char* scheme : {"hf", "openai"}) {
    State s = to_theirs(*find_scheme("clip", scheme), model.state());
    const bool openai = scheme == std::string("openai");
    EXPECT_EQ(s.at(openai ? "visual.class_embedding" : "vision_model.embeddings.class_embedding").shape(), Shape{16});
    EXPECT_EQ(
        s.at(openai ? "visual.positional_embedding" : "vision_model.embeddings.position_embedding.weight").shape(),
        (Shape{17, 16}));
    EXPECT_EQ(s.at(openai ? "visual.proj" : "visual_projection.weight").shape(),
              openai ? (Shape{16, 8}) : (Shape{8, 16}));
    EXPECT_EQ(s.size(), model.state().size() - 2 + (openai ? 0 : 8));  // no head; q, k and v of two blocks apart
    s[openai ? "transformer.resblocks.0.ln_1.weight" : "text_model.final_layer_norm.bias"] = zeros({3});
    s["logit_scale"] = zeros({});
    write_safetensors(path("clip.safetensors"), s);
    const Weights w = read_weights(path("clip.safetensors"));
    EXPECT_EQ(w.family, "clip");
    EXPECT_EQ(w.scheme, scheme);
    EXPECT_EQ(w.config.height, 64);
    EXPECT_EQ(w.unused.size(), 2u);
    EXPECT_EQ(w.unexpected, std::vector<std::string>{});
    ClipViT other = small_clip(2, 5, 64), larger = small_clip(2, 5, 96);
    State expected = model.state();
    for (const char* name : {"head.weight", "head.bias"})
      if (const State before = other.state(); before.contains(name)) expected[name] = clone(before).at(name);
    EXPECT_EQ(load_weights(w, other),
              (std::vector<std::string>{"the classifier stays the model's own, for 5 classes: the file has none"}));
    expect_same(other.state(), expected);
    EXPECT_EQ(load_weights(w, larger).size(), 2u);  // and its positions interpolated
    ViT vit = small_vit(1);
    EXPECT_ERROR(load_weights(w, vit), "holds a clip with names of");
  }
}

// What timm 1.0.31 calls the tensors of VisionTransformer(img_size=64, patch_size=16, embed_dim=16, depth=2,
// num_heads=2, num_classes=8, pre_norm=True), and their shapes: a tower as small as ours here, built as its
// vit_base_patch16_clip_quickgelu_224 is. The projection is called head there, and has a bias of zeros.
std::map<std::string, Shape> timms_tower() {
  std::map<std::string, Shape> all = {
      {"cls_token", {1, 1, 16}}, {"pos_embed", {1, 17, 16}}, {"patch_embed.proj.weight", {16, 3, 16, 16}},
      {"norm_pre.weight", {16}}, {"norm_pre.bias", {16}},    {"norm.weight", {16}},
      {"norm.bias", {16}},       {"head.weight", {8, 16}},   {"head.bias", {8}}};
  for (const char* block : {"blocks.0.", "blocks.1."})
    for (const auto& [name, shape] : std::map<std::string, Shape>{{"norm1.weight", {16}},
                                                                  {"norm1.bias", {16}},
                                                                  {"attn.qkv.weight", {48, 16}},
                                                                  {"attn.qkv.bias", {48}},
                                                                  {"attn.proj.weight", {16, 16}},
                                                                  {"attn.proj.bias", {16}},
                                                                  {"norm2.weight", {16}},
                                                                  {"norm2.bias", {16}},
                                                                  {"mlp.fc1.weight", {64, 16}},
                                                                  {"mlp.fc1.bias", {64}},
                                                                  {"mlp.fc2.weight", {16, 64}},
                                                                  {"mlp.fc2.bias", {16}}})
      all[block + name] = shape;
  return all;
}

TEST_F(WeightsTest, ClipsImageTowerOfTimm) {
  const ClipViT model = small_clip(1, 5, 64);
  save_weights(path("timm.safetensors"), model, "timm");
  const NamedTensors file = read_safetensors(path("timm.safetensors")).tensors;
  std::map<std::string, Shape> shapes;
  for (const auto& [name, t] : file) shapes[name] = t.shape();
  EXPECT_EQ(shapes, timms_tower());
  EXPECT_EQ(file.at("head.bias").to_vector<float>(), std::vector<float>(8, 0.f));
  EXPECT_EQ(file.at("head.weight").to_vector<float>(), model.state().at("proj.weight").to_vector<float>());

  const Weights w = read_weights(path("timm.safetensors"));
  EXPECT_EQ(w.family, "clip");
  EXPECT_EQ(w.scheme, "timm");
  EXPECT_EQ(w.config.height, 64);
  EXPECT_EQ(w.config.classes, 0);
  EXPECT_EQ(w.unused, std::vector<std::string>{"head.bias"});
  EXPECT_EQ(w.unexpected, std::vector<std::string>{});
  ClipViT other = small_clip(2, 5, 64);
  State expected = model.state();
  for (const char* name : {"head.weight", "head.bias"}) expected[name] = clone(other.state()).at(name);
  EXPECT_EQ(load_weights(w, other),
            (std::vector<std::string>{"the classifier stays the model's own, for 5 classes: the file has none"}));
  expect_same(other.state(), expected);

  // A projection with a bias is another function, and a classifier no projection.
  State s = file;
  s["head.bias"] = full({8}, 0.5);
  write_safetensors(path("bias.safetensors"), s);
  EXPECT_ERROR(load_weights(read_weights(path("bias.safetensors")), other),
               "unexpected (1): head.bias (which is not zero)");
  s["head.bias"] = zeros({5});
  s["head.weight"] = zeros({5, 16});
  write_safetensors(path("classes.safetensors"), s);
  EXPECT_ERROR(load_weights(read_weights(path("classes.safetensors")), other),
               "misshapen (1): head.weight: expected [8, 16], got [5, 16]");
  expect_same(other.state(), expected);
  ViT vit = small_vit(1);
  EXPECT_ERROR(load_weights(w, vit), "holds a clip with names of timm, expected vit_b_16");
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
  EXPECT_EQ(notes[0], "the classifier stays the model's own, for 5 classes: the file has none");
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
  EXPECT_EQ(notes[0], "the classifier stays the model's own, for 7 classes: the file has one for 5");
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

}  // namespace
}  // namespace holt::nn
