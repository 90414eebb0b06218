#include "apps/holt/checkpoint.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/json.h"
#include "nn/models/registry.h"
#include "nn/state_file.h"

namespace holt::app {
namespace {

using Json = nlohmann::json;

constexpr const char* kFormat = "holt.checkpoint.1";
constexpr const char *kModel = "model.", *kOptimizer = "optimizer.", *kRandom = "random.";

void append(NamedTensors& all, const std::string& prefix, const nn::State& state) {
  for (const auto& [name, tensor] : state) all.emplace(prefix + name, tensor);
}

nn::State part(const NamedTensors& all, const std::string& prefix) {
  nn::State state;
  for (const auto& [name, tensor] : all)
    if (name.starts_with(prefix)) state.emplace(name.substr(prefix.size()), tensor);
  return state;
}

Json position_json(const Position& p) {
  return {{"epoch", p.epoch},
          {"step", p.step},
          {"samples", p.scores.samples},
          {"correct", p.scores.correct},
          {"loss_sum", p.scores.loss_sum},
          {"class_samples", p.scores.class_samples},
          {"class_correct", p.scores.class_correct},
          {"best_accuracy", p.best_accuracy},
          {"best_epoch", p.best_epoch},
          {"threads", p.threads},
          {"last_accuracy", p.last_accuracy}};
}

Position parse_position(const Json& j) {
  Position p;
  j.at("epoch").get_to(p.epoch);
  j.at("step").get_to(p.step);
  j.at("samples").get_to(p.scores.samples);
  j.at("correct").get_to(p.scores.correct);
  j.at("loss_sum").get_to(p.scores.loss_sum);
  j.at("class_samples").get_to(p.scores.class_samples);
  j.at("class_correct").get_to(p.scores.class_correct);
  j.at("best_accuracy").get_to(p.best_accuracy);
  j.at("best_epoch").get_to(p.best_epoch);
  j.at("threads").get_to(p.threads);
  j.at("last_accuracy").get_to(p.last_accuracy);
  return p;
}

bool is_checkpoint(const Metadata& m) {
  const auto format = m.find("format");
  return format != m.end() && format->second == kFormat;
}

}  // namespace

void write_checkpoint(const std::string& path, const nn::Model& model, const nn::Usage& usage,
                      const nn::Optimizer& optimizer, const TrainConfig& config, const Position& position) {
  NamedTensors tensors;
  append(tensors, kModel, model.state());
  append(tensors, kOptimizer, optimizer.state());
  append(tensors, kRandom, model.random_state());
  Metadata metadata = nn::to_metadata(model.config());
  metadata.merge(nn::to_metadata(usage));
  metadata["format"] = kFormat;
  metadata["train"] = json_text(Json(config));
  metadata["position"] = json_text(position_json(position));
  write_safetensors(path, tensors, metadata);
}

Checkpoint read_checkpoint(const std::string& path) {
  Checkpoint c{path, read_safetensors(path), {}, {}};
  const Metadata& m = c.file.metadata;
  check(is_checkpoint(m), "{}: is no checkpoint of this version of holt: its metadata has no 'format' = '{}'", path,
        kFormat);
  check(m.contains("train") && m.contains("position"), "{}: its metadata lacks 'train' or 'position'", path);
  try {
    c.config = parse_json(m.at("train")).get<TrainConfig>();
    c.position = parse_position(parse_json(m.at("position")));
  } catch (const Json::exception& e) { fail("{}: its metadata is damaged: {}", path, e.what()); }
  check(c.config.precision == "f32" || c.config.precision == "bf16" || c.config.precision == "f16",
        "{}: '{}' is no precision that this holt knows", path, c.config.precision);
  const std::string name = nn::config_from_metadata(m, path).name;
  check(std::any_of(nn::models().begin(), nn::models().end(), [&](auto& known) { return known.name == name; }) &&
            nn::parse_model(c.config.model).name == name,
        "{}: holds the model '{}' of a run of '{}', which this holt does not know", path, name, c.config.model);
  const Position& p = c.position;
  check(c.config.batch >= 1 && c.config.epochs >= 1 && p.epoch >= 0 && p.step >= 0 && p.epoch <= c.config.epochs,
        "{}: epoch {}, step {} of {} epochs with batches of {} is no position in a run", path, p.epoch, p.step,
        c.config.epochs, c.config.batch);
  return c;
}

void restore(const Checkpoint& c, nn::Model& model, nn::Optimizer& optimizer) {
  const nn::ModelConfig held = nn::config_from_metadata(c.file.metadata, c.path);
  check(held == model.config(), "{}: holds {}, expected {}", c.path, held, model.config());
  try {
    model.load_state(part(c.file.tensors, kModel));
    optimizer.load_state(part(c.file.tensors, kOptimizer));
    model.load_random_state(part(c.file.tensors, kRandom));
  } catch (const Error& e) { fail("{}: {}", c.path, e.message()); }
}

bool holds_checkpoint(const std::string& path) { return is_checkpoint(read_safetensors(path).metadata); }

LoadedModel load_checkpoint_model(const std::string& path) {
  const Safetensors file = read_safetensors(path);
  const nn::ModelConfig config = nn::config_from_metadata(file.metadata, path);
  LoadedModel loaded;
  loaded.usage = nn::usage_from_metadata(file.metadata, config, path);
  try {
    Generator overwritten;
    loaded.model = nn::make_model(config, overwritten);
    loaded.model->load_state(part(file.tensors, kModel));
    loaded.model->eval();
  } catch (const Error& e) { fail("{}: {}", path, e.message()); }
  return loaded;
}

}  // namespace holt::app
