#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <set>

#include "core/autograd.h"
#include "core/nearest.h"
#include "core/ops.h"
#include "core/torch_file.h"
#include "nn/state_file.h"
#include "nn/weights/weights.h"

namespace holt::nn {
namespace {

constexpr int64_t kImageSize = 224;  // what ImageNet's models are trained with
constexpr std::string_view kHoltModel = "holt.model";

// Whether `name` ends in one of the scheme's anchors; then `prefix` is the text before it and the scheme's body.
bool anchored(const Scheme& s, const std::string& name, std::string& prefix, bool& bare) {
  const auto anchor = std::find_if(s.anchors.begin(), s.anchors.end(), [&](auto a) { return name.ends_with(a); });
  if (anchor == s.anchors.end()) return false;
  prefix = name.substr(0, name.size() - anchor->size());
  bare = !s.body.empty();
  if (bare && prefix.ends_with(s.body)) {
    prefix.resize(prefix.size() - s.body.size());
    bare = false;
  }
  return prefix.empty() || prefix.ends_with('.');
}

// As a tensor of holt's has its axes, if it has as many as the form wants; else as it is, and a misshapen one later.
Tensor in_our_form(Form form, const Tensor& t) {
  const NoGrad no_grad;
  if (form == Form::transposed && t.rank() == 2) return transpose(t, 0, 1);
  if (form == Form::flat && t.rank() == 1) return t.reshape({1, 1, t.size(0)});
  if (form == Form::flat && t.rank() == 2) return t.reshape({1, t.size(0), t.size(1)});
  return t;
}

bool all_zero(const Tensor& t) {
  if (!is_float(t.dtype())) return false;
  const std::vector<float> values = t.to_vector<float>();
  return std::all_of(values.begin(), values.end(), [](float v) { return v == 0; });
}

struct Found {
  const Scheme* scheme = nullptr;
  std::string prefix;
  bool bare = false;  // without the scheme's body
};

// The scheme with the shortest prefix: "state_dict." is preferred to "state_dict_ema.".
Found find(const TensorList& tensors) {
  Found best;
  for (const Scheme& s : schemes())
    for (const auto& [name, tensor] : tensors) {
      std::string prefix;
      bool bare = false;
      if (!anchored(s, name, prefix, bare)) continue;
      if (!best.scheme || std::pair(prefix.size(), prefix) < std::pair(best.prefix.size(), best.prefix))
        best = {&s, prefix, bare};
    }
  return best;
}

// How many numbers 0, 1, … follow `prefix` in the names.
int count(const Weights& w, const std::string& prefix) {
  std::set<int> found;
  for (const auto& [name, pieces] : w.pieces) {
    if (!name.starts_with(prefix)) continue;
    int n = -1;
    std::from_chars(name.data() + prefix.size(), name.data() + name.size(), n);
    if (n >= 0) found.insert(n);
  }
  return static_cast<int>(found.size());
}

// Of a tensor in pieces the first one's.
Shape shape(const Weights& w, const std::string& name) {
  const auto it = w.pieces.find(name);
  return it == w.pieces.end() ? Shape{} : it->second.front().tensor.shape();
}

void guess_resnet(Weights& w) {
  struct Known {
    const char* name;
    std::array<int, 4> blocks;
    bool bottleneck;
  };
  constexpr Known kKnown[] = {{"resnet18", {2, 2, 2, 2}, false},
                              {"resnet34", {3, 4, 6, 3}, false},
                              {"resnet50", {3, 4, 6, 3}, true},
                              {"resnet101", {3, 4, 23, 3}, true}};
  std::array<int, 4> blocks{};
  for (int i = 0; i < 4; ++i) blocks[static_cast<size_t>(i)] = count(w, format("layer{}.", i + 1));
  const bool bottleneck = w.pieces.contains("layer1.0.conv3.weight");
  for (const Known& k : kKnown)
    if (k.blocks == blocks && k.bottleneck == bottleneck) w.config.name = k.name;
  if (const Shape s = shape(w, "conv1.weight"); s.rank() == 4) w.config.channels = s[1];
  if (const Shape s = shape(w, "fc.weight"); s.rank() == 2) w.config.classes = s[0];
}

void guess_vit(Weights& w) {
  struct Known {
    const char* size;
    int64_t features;
    int depth;
  };
  constexpr Known kKnown[] = {{"ti", 192, 12}, {"s", 384, 12}, {"b", 768, 12}, {"l", 1024, 24}};
  const Shape proj = shape(w, "patch_embed.proj.weight"), positions = shape(w, "pos_embed");
  if (proj.rank() != 4 || proj[2] != proj[3]) return;
  w.config.channels = proj[1];
  const int64_t patch = proj[2];
  for (const Known& k : kKnown)
    if (k.features == proj[0] && k.depth == count(w, "blocks.") && (patch == 16 || (patch == 32 && k.depth == 12)))
      w.config.name = format("vit_{}_{}", k.size, patch);
  if (w.config.name == "vit_ti_32" || w.config.name == "vit_s_32") w.config.name.clear();  // holt has B/32 alone
  if (w.family == "clip") w.config.name = w.config.name.starts_with("vit_b_") ? "clip_" + w.config.name : "";
  if (positions.rank() == 3) {
    const auto side = static_cast<int64_t>(std::lround(std::sqrt(static_cast<double>(positions[1] - 1))));
    if (side > 0 && side * side + 1 == positions[1]) w.config.height = w.config.width = side * patch;
  }
  if (const Shape s = shape(w, "head.weight"); s.rank() == 2) w.config.classes = s[0];
}

// holt's own file, a checkpoint of a training run included: the names and the layout are the model's.
Weights own(WeightFile file) {
  Weights w{.file = std::move(file), .scheme = "holt", .config = {}};
  w.config = config_from_metadata(w.file.metadata, w.file.path);
  w.family = family_of(w.config);
  const auto format = w.file.metadata.find("format");
  if (format != w.file.metadata.end() && format->second.starts_with("holt.checkpoint")) w.prefix = "model.";
  for (const auto& [name, tensor] : w.file.tensors) {
    if (name.starts_with(w.prefix) && !name.starts_with("transfer.")) {
      const std::string ours = name.substr(w.prefix.size());
      w.pieces[ours] = {{ours, tensor}};
    } else {
      w.unused.push_back(name);
    }
  }
  return w;
}

std::string first_names(const TensorList& tensors) {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : tensors) names.push_back(name);
  return first_of(names, 8);
}

}  // namespace

std::string family_of(const ModelConfig& c) {
  for (const char* name : {"resnet18", "resnet34", "resnet50", "resnet101"})
    if (c.name == name) return "resnet";
  return c.name.starts_with("vit_") ? "vit" : c.name.starts_with("clip_vit_") ? "clip" : "";
}

std::string scheme_names(std::string_view family) {
  std::string all;
  for (const Scheme& s : schemes())
    if (s.family == family) all += (all.empty() ? "" : ", ") + std::string(s.name);
  return all;
}

WeightFile read_weight_file(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) {
    for (const char* name : {"model.safetensors", "pytorch_model.bin"})
      if (const fs::path inside = fs::path(path) / name; fs::exists(inside, ignored))
        return read_weight_file(inside.string());
    fail("{}: the folder holds neither model.safetensors nor pytorch_model.bin", path);
  }
  if (is_zip_file(path)) return {path, "PyTorch", read_torch_file(path), {}};
  Safetensors file = read_safetensors(path);
  return {path, "safetensors", TensorList(file.tensors.begin(), file.tensors.end()), std::move(file.metadata)};
}

Weights recognise(WeightFile file) {
  if (file.metadata.contains(std::string(kHoltModel))) return own(std::move(file));
  const Found found = find(file.tensors);
  check(found.scheme != nullptr,
        "{}: neither a ResNet nor a vision transformer with names of torchvision, timm, Hugging Face or OpenAI, nor a "
        "file of "
        "holt; its {} tensors are {}",
        file.path, file.tensors.size(), file.tensors.empty() ? "none" : first_names(file.tensors));
  const Scheme& scheme = *found.scheme;
  Weights w{.file = std::move(file),
            .scheme = std::string(scheme.name),
            .family = std::string(scheme.family),
            .names = &scheme,
            .prefix = found.prefix,
            .config = {.classes = 0, .channels = 3, .height = kImageSize, .width = kImageSize}};
  for (const auto& [name, tensor] : w.file.tensors) {
    if (!name.starts_with(w.prefix)) {
      w.unused.push_back(name);
      continue;
    }
    const std::string theirs = name.substr(w.prefix.size());
    const std::string whole = found.bare ? std::string(scheme.body) + theirs : theirs;
    if (is_unused(scheme, whole)) {
      w.unused.push_back(name);
      continue;
    }
    const TheirName ours = our_name(scheme, whole);
    if (ours.form == Form::zeros) {
      if (all_zero(tensor))
        w.unused.push_back(name);
      else
        w.unexpected.push_back(name + " (which is not zero)");
      continue;
    }
    std::vector<Weights::Piece>& pieces = w.pieces[ours.name];
    if (pieces.empty()) pieces.resize(static_cast<size_t>(ours.pieces));
    const auto i = static_cast<size_t>(ours.piece);
    if (ours.name.empty() || i >= pieces.size() || pieces[i].tensor)
      w.unexpected.push_back(name);
    else
      pieces[i] = {theirs, in_our_form(ours.form, tensor)};
  }
  w.pieces.erase("");
  if (w.family == "resnet")
    guess_resnet(w);
  else
    guess_vit(w);
  return w;
}

}  // namespace holt::nn
