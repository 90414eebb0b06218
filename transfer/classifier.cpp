#include "transfer/classifier.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "core/autocast.h"
#include "core/inference.h"
#include "core/json.h"
#include "core/ops.h"
#include "nn/models/registry.h"
#include "nn/state_file.h"

namespace holt::transfer {
namespace {

constexpr int64_t kEvaluationBatch = 256;
const std::string kCorrection = "transfer.correction.", kGate = "transfer.gate.";

// Entries whose names begin with `prefix`, without it; they leave `state`.
nn::State take(nn::State& state, const std::string& prefix) {
  nn::State taken;
  for (auto it = state.begin(); it != state.end();)
    if (it->first.starts_with(prefix)) {
      taken[it->first.substr(prefix.size())] = it->second;
      it = state.erase(it);
    } else {
      ++it;
    }
  return taken;
}

constexpr int64_t kPhotograph = 64;  // pixels a side from which on images are taken for photographs

// γ and the seen classes, from two entries that stand together or not at all.
void read_calibration(const Metadata& metadata, Classifier& c) {
  const auto gamma = metadata.find("transfer.gamma"), seen = metadata.find("transfer.seen");
  check((gamma == metadata.end()) == (seen == metadata.end()),
        "its metadata has one of transfer.gamma and transfer.seen without the other");
  if (gamma == metadata.end()) return;
  const nlohmann::json value = parse_json(gamma->second), list = parse_json(seen->second);
  check(value.is_number() && std::isfinite(value.get<double>()), "transfer.gamma must be a finite number, is {}",
        gamma->second.substr(0, 40));
  check(list.is_array(), "transfer.seen must be a list of classes");
  c.gamma = value.get<double>();
  const int64_t classes = c.model->config().classes;
  for (const nlohmann::json& entry : list) {
    const int64_t s = entry.is_number_integer() ? entry.get<int64_t>() : -1;
    check(s > (c.seen.empty() ? -1 : c.seen.back()) && s < classes, "transfer.seen must ascend within 0 … {}",
          classes - 1);
    c.seen.push_back(s);
  }
}

}  // namespace

Tensor Classifier::input(const Tensor& images) const {
  const Autocast off(DType::f32);
  return correction ? (*correction)(images) : images;
}

Classifier::Output Classifier::outputs(const Tensor& images) const {
  const Tensor narrow = model->features(input(images)), logits = widened(model->classifier()(narrow)),
               features = widened(narrow);
  const Autocast off(DType::f32);
  return {features, gate ? gate->apply(features, logits) : logits};
}

Tensor Classifier::calibrated(const Tensor& logits) const {
  if (gamma == 0) return logits;
  std::vector<float> offset(model->config().classes, static_cast<float>(gamma));
  for (const int64_t s : seen) offset[s] = 0;
  return logits + from(offset, {std::ssize(offset)}).to(logits.device());
}

Classifier clone(const Classifier& c) {
  Classifier copy{.model = nn::clone(*c.model), .gate = c.gate, .gamma = c.gamma, .seen = c.seen};
  if (c.correction) copy.correction = nn::clone(*c.correction);
  return copy;
}

Evaluation evaluate(const Classifier& c, const data::Dataset& dataset, const data::Normalize& normalize,
                    Device device) {
  const Inference scope;
  const bool training = c.model->training();
  c.model->eval();
  data::LoaderOptions options;
  options.batch = kEvaluationBatch;
  options.normalize = normalize;
  options.prefetch = 0;
  const data::Loader loader(dataset, options);
  auto batches = loader.epoch(0);
  Evaluation e;
  while (const auto batch = batches.next()) {
    const Classifier::Output out = c.outputs(batch->images.to(device));
    e.predictions.add(out.logits, batch->labels);
    e.features.add(out.features, batch->labels);
  }
  c.model->train(training);
  return e;
}

void save_classifier(const std::string& path, const Classifier& c, const nn::Usage& usage, const Metadata& extra) {
  check(std::isfinite(c.gamma), "save_classifier: γ is {}", c.gamma);
  nn::State state = c.model->state();
  if (c.correction)
    for (const auto& [name, tensor] : c.correction->state()) state[kCorrection + name] = tensor;
  if (c.gate)
    for (const auto& [name, tensor] : c.gate->state()) state[kGate + name] = tensor;
  Metadata metadata = nn::to_metadata(c.model->config());
  metadata.merge(nn::to_metadata(usage));
  metadata["transfer.gamma"] = json_text(nlohmann::json(c.gamma));
  metadata["transfer.seen"] = json_text(nlohmann::json(c.seen));
  for (const auto& [key, value] : extra) metadata[key] = value;
  write_safetensors(path, state, metadata);
}

LoadedClassifier load_classifier(const std::string& path, Device device) {
  const Safetensors file = read_safetensors(path);
  const nn::ModelConfig config = nn::config_from_metadata(file.metadata, path);
  LoadedClassifier loaded;
  loaded.metadata = file.metadata;
  loaded.usage = nn::usage_from_metadata(file.metadata, config, path);
  Classifier& c = loaded.classifier;
  try {
    nn::State state = file.tensors;
    const nn::State correction = take(state, kCorrection), gate = take(state, kGate);
    Generator overwritten;
    c.model = nn::make_model(config, overwritten);
    c.model->load_state(state);
    if (!correction.empty()) {
      c.correction = std::make_unique<Correction>(std::vector<float>(config.channels));
      c.correction->load_state(correction);
      c.correction->requires_grad("*", false);
    }
    if (!gate.empty()) c.gate = Gate::from_state(gate, c.model->classifier().weight.size(1), config.classes);
    read_calibration(file.metadata, c);
    if (const auto fit = file.metadata.find("transfer.fit"); fit != file.metadata.end()) data::parse_fit(fit->second);
  } catch (const Error& e) { fail("{}: {}", path, e.message()); } catch (const nlohmann::json::exception& e) {
    fail("{}: its calibration cannot be read: {}", path, e.what());
  }
  if (c.correction) c.correction->to(device);
  if (c.gate) c.gate = c.gate->to(device);
  c.model->eval();
  c.model->to(device);
  return loaded;
}

data::Frame input_frame(const LoadedClassifier& loaded) {
  const nn::ModelConfig& c = loaded.classifier.model->config();
  const auto fit = loaded.metadata.find("transfer.fit");
  const bool photograph = c.height == c.width && c.height >= kPhotograph;
  return {c.height, c.width, c.channels,
          fit != loaded.metadata.end() ? data::parse_fit(fit->second)
          : photograph                 ? data::Fit::crop
                                       : data::Fit::whole};
}

std::vector<std::vector<Guess>> predict(const Classifier& c, const data::Dataset& dataset,
                                        const data::Normalize& normalize, Device device, int64_t k) {
  const Predictions p = evaluate(c, dataset, normalize, device).predictions;
  const int64_t classes = p.classes;
  const auto kept = std::clamp<int64_t>(k, 1, classes);
  std::vector<double> offset(classes, c.gamma);
  for (const int64_t s : c.seen) offset[s] = 0;
  std::vector<std::vector<Guess>> all;
  for (int64_t i = 0; i < p.size(); ++i) {
    std::vector<Guess> guesses;
    double top = -std::numeric_limits<double>::infinity(), sum = 0;
    for (int64_t label = 0; label < classes; ++label) {
      const double z = p.logits[i * classes + label] + offset[label];
      check(std::isfinite(z), "predict: the logit of class {} for image {} is {}; the model's weights are damaged",
            label, i, z);
      guesses.push_back({label, z});
      top = std::max(top, z);
    }
    for (Guess& g : guesses) sum += g.probability = std::exp(g.probability - top);
    for (Guess& g : guesses) g.probability /= sum;
    std::partial_sort(guesses.begin(), guesses.begin() + kept, guesses.end(), [](const Guess& a, const Guess& b) {
      return a.probability != b.probability ? a.probability > b.probability : a.label < b.label;
    });
    guesses.resize(kept);
    all.push_back(std::move(guesses));
  }
  return all;
}

}  // namespace holt::transfer
