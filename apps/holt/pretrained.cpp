#include "apps/holt/pretrained.h"

#include <cstdio>

#include "apps/holt/cli.h"
#include "data/image_files.h"
#include "kernels/file.h"
#include "nn/models/registry.h"

namespace holt::app {
namespace {

nn::ModelConfig config_of(const nn::Weights& w, const WeightsQuestion& q) {
  nn::ModelConfig c = w.config;
  if (!q.model.empty()) {
    const nn::ModelConfig named = nn::parse_model(q.model);
    c.name = named.name;
    c.options = named.options;
  }
  check(!c.name.empty(), "{}: a {} that is none of holt's models; name one with --model if it nearly is", w.file.path,
        w.family);
  if (q.height > 0) c.height = q.height;
  if (q.width > 0) c.width = q.width;
  if (q.channels > 0) c.channels = q.channels;
  const auto names = std::ssize(q.classes);
  check(c.classes > 0 || names > 0 || !q.classifier,
        "{}: has no classifier; name the classes of a new one with --classes FILE", w.file.path);
  check(names == 0 || c.classes == 0 || names == c.classes, "{}: its classifier has {} classes, {} are named",
        w.file.path, c.classes, names);
  if (names > 0) c.classes = names;
  if (c.classes == 0) c.classes = 1;  // a model has some
  return c;
}

// torchvision trains with ImageNet's mean and deviation; Google's vision transformers, which timm and Hugging Face
// have, with pixels in −1 … 1.
nn::Usage usage_of(const nn::Weights& w, const nn::ModelConfig& c, const WeightsQuestion& q) {
  nn::Usage u;
  if (w.file.metadata.contains("usage")) {
    u = nn::usage_from_metadata(w.file.metadata, c, w.file.path);
  } else {
    for (int64_t i = 0; i < c.classes; ++i) u.classes.push_back(std::to_string(i));
    const bool half = q.normalize.empty() ? w.family == "vit" && w.scheme != "torchvision" : q.normalize == "half";
    u.mean = half ? std::vector<float>{0.5f, 0.5f, 0.5f} : data::kImageNetMean;
    u.std = half ? std::vector<float>{0.5f, 0.5f, 0.5f} : data::kImageNetStd;
    if (q.normalize == "clip" || (q.normalize.empty() && w.family == "clip")) {
      u.mean = {0.48145466f, 0.4578275f, 0.40821073f};
      u.std = {0.26862954f, 0.26130258f, 0.27577711f};
    }
    if (c.channels != 3) {  // a gray image's mean is that of its colours
      u.mean.assign(static_cast<size_t>(c.channels), (u.mean[0] + u.mean[1] + u.mean[2]) / 3);
      u.std.assign(static_cast<size_t>(c.channels), (u.std[0] + u.std[1] + u.std[2]) / 3);
    }
  }
  if (!q.classes.empty()) u.classes = q.classes;
  return u;
}

}  // namespace

PretrainedModel load_pretrained(const nn::Weights& weights, const WeightsQuestion& question) {
  const nn::ModelConfig config = config_of(weights, question);
  PretrainedModel loaded{.model = {}, .usage = usage_of(weights, config, question), .notes = {}};
  Generator drawn;  // what the file does not replace: a new classifier
  loaded.model = nn::make_model(config, drawn);
  loaded.notes = nn::load_weights(weights, *loaded.model, question.classifier);
  loaded.model->eval();
  return loaded;
}

transfer::LoadedClassifier use_pretrained(const std::string& path, const WeightsQuestion& question, Device device) {
  const nn::Weights weights = nn::read_weights(path);
  PretrainedModel loaded = load_pretrained(weights, question);
  for (const std::string& line : described(weights, loaded.notes))
    std::fprintf(stderr, "holt: note: %s\n", line.c_str());
  loaded.model->to(device);
  return {.classifier = {.model = std::move(loaded.model)}, .usage = std::move(loaded.usage), .metadata = {}};
}

std::vector<std::string> read_class_names(const std::string& path) {
  const std::vector<std::string> names = lines_of(read_file(path));
  check(!names.empty(), "{}: names no class; one is expected on each line", path);
  return names;
}

std::vector<std::string> described(const nn::Weights& w, const std::vector<std::string>& notes) {
  const std::string names = w.scheme == "holt" ? "holt's own file" : "names of " + w.scheme;
  std::vector<std::string> lines = {
      format("{}: {}, {}", w.file.path, w.config.name.empty() ? w.family : w.config.name, names)};
  for (const std::string& n : notes) lines.push_back(n);
  return lines;
}

}  // namespace holt::app
