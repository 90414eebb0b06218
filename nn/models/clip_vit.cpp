#include "nn/models/clip_vit.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/autocast.h"
#include "core/json.h"
#include "core/safetensors.h"
#include "nn/init.h"

namespace holt::nn {
namespace {

constexpr double kEps = 1e-5;

ViTOptions clip_options(ViTOptions o) {
  o.eps = kEps, o.patch_bias = false, o.activation = Activation::quick_gelu;
  if (o.representation == 0) o.representation = 512;
  return o;
}

double positive(const std::string& path, double scale) {
  check(std::isfinite(scale) && scale > 0, "{}: logit_scale must be a positive number, got {}", path, scale);
  return scale;
}

double parse_scale(const std::string& path, const std::string& text) {
  char* end = nullptr;
  const double scale = std::strtod(text.c_str(), &end);
  check(end == text.c_str() + text.size() && !text.empty(), "{}: logit_scale must be a positive number, got '{}'", path,
        text);
  return positive(path, scale);
}

std::vector<std::string> parse_names(const std::string& path, const std::string& text, int64_t classes) {
  try {
    const auto names = parse_json(text).get<std::vector<std::string>>();
    check(static_cast<int64_t>(names.size()) == classes, "{}: {} names for {} class embeddings", path, names.size(),
          classes);
    return names;
  } catch (const nlohmann::json::exception&) { fail("{}: the metadata's names must be a JSON list of texts", path); }
}

}  // namespace

ClipViT::ClipViT(ModelConfig c, ViTOptions o, Generator& g)
    : Cloneable(std::move(c), clip_options(o), g),
      norm_pre(o.features, kEps),
      projection(o.features, clip_options(o).representation, g, {.bias = false, .draw = false}) {
  // OpenAI's initialisation of the projection: normal with std 1/√D.
  projection.weight =
      init::parameter(normal(projection.weight.shape(), 0, 1 / std::sqrt(static_cast<double>(o.features)), g));
}

Tensor ClipViT::features(const Tensor& images) {
  const Tensor f = widened(projection(class_token(norm_pre(tokens(images)))));
  return dropout(f / sqrt(sum(square(f), {-1}, true)));
}

Parts ClipViT::parts() {
  Parts p = ViT::parts();
  p.children.emplace_back("norm_pre", &norm_pre);
  p.children.emplace_back("proj", &projection);
  return p;
}

ZeroShotHead read_zero_shot_head(const std::string& path) {
  const Safetensors file = read_safetensors(path);
  ZeroShotHead head;
  Tensor e;
  for (const auto& [name, tensor] : file.tensors) {
    check(tensor.dtype() == DType::f32, "{}: {} must be f32, got {}", path, name, tensor);
    if (name == "class_embeddings") {
      check(tensor.rank() == 2 && tensor.numel() > 0, "{}: class_embeddings must be [C, D], got {}", path, tensor);
      e = tensor;
    } else {
      check(name == "logit_scale", "{}: unexpected tensor {}; a zero-shot head has class_embeddings and logit_scale",
            path, name);
      check(tensor.numel() == 1, "{}: logit_scale must have one element, got {}", path, tensor);
      head.logit_scale = positive(path, tensor.item());
    }
  }
  check(e.defined(), "{}: a zero-shot head needs a tensor class_embeddings [C, D]", path);
  if (const auto scale = file.metadata.find("logit_scale"); scale != file.metadata.end()) {
    check(!file.tensors.contains("logit_scale"), "{}: logit_scale stands both in a tensor and in the metadata", path);
    head.logit_scale = parse_scale(path, scale->second);
  }
  if (const auto names = file.metadata.find("names"); names != file.metadata.end())
    head.names = parse_names(path, names->second, e.size(0));

  std::vector<float> w = e.to_vector<float>();
  const int64_t d = e.size(1);
  for (int64_t c = 0; c < e.size(0); ++c) {
    float* const row = w.data() + c * d;
    double squares = 0;
    for (int64_t k = 0; k < d; ++k) squares += static_cast<double>(row[k]) * static_cast<double>(row[k]);
    const double length = std::sqrt(squares);
    check(std::isfinite(length) && length > 0, "{}: the embedding of class {} must be finite and not zero", path, c);
    for (int64_t k = 0; k < d; ++k)
      row[k] = static_cast<float>(static_cast<double>(row[k]) * head.logit_scale / length);
  }
  head.weight = from(w, e.shape());
  return head;
}

std::unique_ptr<ClipViT> make_clip_vit(ModelConfig c, const ViTOptions& o, Generator& g) {
  const std::string path = std::exchange(c.options["head"], "");
  Tensor weight;
  if (!path.empty()) {
    weight = read_zero_shot_head(path).weight;
    const int64_t features = clip_options(o).representation;
    check(weight.shape() == Shape{c.classes, features},
          "{}: {} holds {} embeddings of {} numbers, expected the data's {} classes and {}", c.name, path,
          weight.size(0), weight.size(1), c.classes, features);
  }
  auto model = std::make_unique<ClipViT>(c, o, g);
  if (weight) {
    model->classifier().weight = init::parameter(weight);
    model->classifier().bias = init::parameter(init::constant({c.classes}, 0));
  }
  return model;
}

}  // namespace holt::nn
