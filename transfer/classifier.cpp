#include "transfer/classifier.h"

#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "core/autograd.h"
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

void check_seen(const Classifier& c, const std::string& source) {
  int64_t last = -1;
  for (const int64_t s : c.seen) {
    check(s > last && s < c.model->config().classes, "{}: its seen classes must ascend within 0 … {}", source,
          c.model->config().classes - 1);
    last = s;
  }
}

}  // namespace

Classifier::Output Classifier::outputs(const Tensor& images) const {
  const Tensor features = model->features(input(images)), logits = model->classifier()(features);
  return {features, gate ? gate->apply(features, logits) : logits};
}

Classifier clone(const Classifier& c) {
  Classifier copy{.model = nn::clone(*c.model), .gate = c.gate, .gamma = c.gamma, .seen = c.seen};
  if (c.correction) copy.correction = nn::clone(*c.correction);
  return copy;
}

Evaluation evaluate(const Classifier& c, const data::Dataset& dataset, const data::Normalize& normalize,
                    Device device) {
  const NoGrad no_grad;
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
  nn::State state = c.model->state();
  if (c.correction)
    for (const auto& [name, tensor] : c.correction->state()) state[kCorrection + name] = tensor;
  if (c.gate)
    for (const auto& [name, tensor] : c.gate->state()) state[kGate + name] = tensor;
  Metadata metadata = nn::to_metadata(c.model->config());
  metadata.merge(nn::to_metadata(usage));
  metadata["transfer.gamma"] = nlohmann::json(c.gamma).dump();
  metadata["transfer.seen"] = nlohmann::json(c.seen).dump();
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

  nn::State state = file.tensors;
  const nn::State correction = take(state, kCorrection), gate = take(state, kGate);
  Generator generator(0);
  c.model = nn::make_model(config, generator);
  try {
    c.model->load_state(state);
    if (!correction.empty()) {
      c.correction = std::make_unique<Correction>(std::vector<float>(config.channels));
      c.correction->load_state(correction);
      c.correction->requires_grad("*", false);
      c.correction->to(device);
    }
    if (!gate.empty()) c.gate = Gate::from_state(gate).to(device);
    if (const auto it = file.metadata.find("transfer.gamma"); it != file.metadata.end()) {
      c.gamma = nlohmann::json::parse(it->second).get<double>();
      c.seen = nlohmann::json::parse(file.metadata.at("transfer.seen")).get<std::vector<int64_t>>();
      check(std::isfinite(c.gamma), "γ is not finite");
    }
  } catch (const Error& e) { fail("{}: {}", path, e.message()); } catch (const std::exception& e) {
    fail("{}: its calibration cannot be read: {}", path, e.what());
  }
  check_seen(c, path);
  c.model->eval();
  c.model->to(device);
  return loaded;
}

}  // namespace holt::transfer
