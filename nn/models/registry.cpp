#include "nn/models/registry.h"

#include <charconv>

#include "nn/models/clip_vit.h"
#include "nn/models/lenet.h"
#include "nn/models/mlp.h"
#include "nn/models/resnet.h"
#include "nn/models/resnet_cifar.h"
#include "nn/models/vit.h"

namespace holt::nn {
namespace {

// The option as a number in [low, high].
template <class T>
T number(const ModelConfig& c, const std::string& option, T low, T high) {
  const std::string& text = c.options.at(option);
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  check(error == std::errc() && end == text.data() + text.size() && value >= low && value <= high,
        "{}: option {} must be a number from {} to {}, got '{}'", c.name, option, low, high, text);
  return value;
}

std::unique_ptr<Model> resnet(const ModelConfig& c, int n, Generator& g) {
  const std::string& s = c.options.at("shortcut");
  check(s == "A" || s == "B", "{}: option shortcut must be A or B, got '{}'", c.name, s);
  return std::make_unique<ResNetCifar>(
      c,
      ResNetCifarOptions{.n = n,
                         .shortcut = s == "A" ? BasicBlock::Shortcut::A : BasicBlock::Shortcut::B,
                         .stem_stride = number(c, "stem_stride", 1, 4)},
      g);
}

std::vector<ModelOption> resnet_options(const char* shortcut) {
  return {{"shortcut", shortcut, "where the shape changes: A = zero padding, B = 1×1 convolution"},
          {"stem_stride", "1", "stride of the first convolution"}};
}

std::vector<ModelOption> imagenet_options() {
  return {{"dropout", "0", "probability, before the classifier"},
          {"drop_path", "0", "probability of dropping the last block's branch; earlier blocks' grow linearly to it"}};
}

// A ResNet for ImageNet.
ModelEntry imagenet_resnet(int depth, std::array<int, 4> blocks) {
  const bool bottleneck = depth >= 50;
  return {format("resnet{}", depth),
          format("ResNet-{} for ImageNet (He et al. 2016, table 1), torchvision's v1.5", depth), imagenet_options(),
          [=](const ModelConfig& c, Generator& g) {
            return std::make_unique<ResNet>(c,
                                            ResNetOptions{.blocks = blocks,
                                                          .bottleneck = bottleneck,
                                                          .drop_path = number<double>(c, "drop_path", 0, 0.99),
                                                          .dropout = number<double>(c, "dropout", 0, 0.99)},
                                            g);
          }};
}

// A vision transformer: "vit_b_16".
ModelEntry vision_transformer(const char* size, ViTOptions o) {
  return {format("vit_{}_{}", size, o.patch),
          format("vision transformer (Dosovitskiy et al. 2021), {} features, {} blocks, patches of {}×{}", o.features,
                 o.depth, o.patch, o.patch),
          imagenet_options(), [=](const ModelConfig& c, Generator& g) {
            ViTOptions options = o;
            options.drop_path = number<double>(c, "drop_path", 0, 0.99);
            options.dropout = number<double>(c, "dropout", 0, 0.99);
            return std::make_unique<ViT>(c, options, g);
          }};
}

// A CLIP image tower: "clip_vit_b_16".
ModelEntry clip_tower(const char* size, ViTOptions o) {
  std::vector<ModelOption> options = imagenet_options();
  options.push_back({"head", "", "safetensors with class_embeddings [classes, 512] for zero-shot classification"});
  return {format("clip_vit_{}_{}", size, o.patch),
          format("CLIP's image tower (Radford et al. 2021), {} features, {} blocks, patches of {}×{}", o.features,
                 o.depth, o.patch, o.patch),
          std::move(options), [=](const ModelConfig& c, Generator& g) {
            ViTOptions tower = o;
            tower.drop_path = number<double>(c, "drop_path", 0, 0.99);
            tower.dropout = number<double>(c, "dropout", 0, 0.99);
            return make_clip_vit(c, tower, g);
          }};
}

template <class T, class F>
std::string names(const std::vector<T>& list, F&& name) {
  std::string text;
  for (const T& x : list) text += (text.empty() ? "" : ", ") + name(x);
  return text;
}

}  // namespace

const std::vector<ModelEntry>& models() {
  static const std::vector<ModelEntry> all = {
      {"mlp",
       "two hidden layers with ReLU",
       {{"hidden", "256", "width of the hidden layers"}},
       [](const ModelConfig& c, Generator& g) {
         return std::make_unique<Mlp>(c, number<int64_t>(c, "hidden", 1, 1 << 20), g);
       }},
      {"lenet",
       "LeNet-5 (LeCun et al. 1998) with ReLU and max pooling",
       {{"dropout", "0", "probability, before the classifier"}},
       [](const ModelConfig& c, Generator& g) {
         return std::make_unique<LeNet>(c, number<double>(c, "dropout", 0, 0.99), g);
       }},
      {"resnet8", "ResNet for small images (He et al. 2016, §4.2), n = 1, shortcuts B", resnet_options("B"),
       [](const ModelConfig& c, Generator& g) { return resnet(c, 1, g); }},
      {"resnet20", "ResNet for small images (He et al. 2016, §4.2), n = 3, shortcuts A as in the paper",
       resnet_options("A"), [](const ModelConfig& c, Generator& g) { return resnet(c, 3, g); }},
      imagenet_resnet(18, {2, 2, 2, 2}),
      imagenet_resnet(34, {3, 4, 6, 3}),
      imagenet_resnet(50, {3, 4, 6, 3}),
      imagenet_resnet(101, {3, 4, 23, 3}),
      vision_transformer("ti", {.patch = 16, .features = 192, .depth = 12, .heads = 3}),
      vision_transformer("s", {.patch = 16, .features = 384, .depth = 12, .heads = 6}),
      vision_transformer("b", {.patch = 16, .features = 768, .depth = 12, .heads = 12}),
      vision_transformer("b", {.patch = 32, .features = 768, .depth = 12, .heads = 12}),
      vision_transformer("l", {.patch = 16, .features = 1024, .depth = 24, .heads = 16}),
      clip_tower("b", {.patch = 16, .features = 768, .depth = 12, .heads = 12}),
      clip_tower("b", {.patch = 32, .features = 768, .depth = 12, .heads = 12}),
  };
  return all;
}

ModelConfig parse_model(const std::string& text) {
  ModelConfig c;
  const size_t colon = text.find(':');
  c.name = text.substr(0, colon);
  for (size_t begin = colon == std::string::npos ? text.size() : colon + 1; begin < text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    const std::string piece = text.substr(begin, end - begin);
    const size_t equals = piece.find('=');
    check(equals != std::string::npos && equals > 0, "model: expected name or name:option=value,…, got '{}' in '{}'",
          piece, text);
    check(c.options.emplace(piece.substr(0, equals), piece.substr(equals + 1)).second,
          "model: option {} stands twice in '{}'", piece.substr(0, equals), text);
    begin = end + 1;
  }
  return c;
}

std::unique_ptr<Model> make_model(ModelConfig c, Generator& g) {
  for (const ModelEntry& entry : models()) {
    if (entry.name != c.name) continue;
    for (auto& [name, value] : c.options) {
      bool known = false;
      for (const ModelOption& o : entry.options) known |= o.name == name;
      check(known, "{}: no option '{}'; it has {}", c.name, name,
            names(entry.options, [](const ModelOption& o) { return o.name; }));
    }
    for (const ModelOption& o : entry.options) c.options.emplace(o.name, o.standard);
    return entry.make(c, g);
  }
  fail("model: no model '{}'; known are {}", c.name, names(models(), [](const ModelEntry& e) { return e.name; }));
}

}  // namespace holt::nn
