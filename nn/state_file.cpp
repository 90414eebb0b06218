#include "nn/state_file.h"

#include <charconv>

#include "nn/models/registry.h"

namespace holt::nn {
namespace {

constexpr std::string_view kOption = "holt.option.";

const std::string& entry(const Metadata& m, const std::string& key, const std::string& source) {
  const auto it = m.find(key);
  check(it != m.end(), "{}: no model of holt: its metadata has no '{}'", source, key);
  return it->second;
}

// Bounded, so that a damaged number is an Error and no giant allocation.
int64_t number(const Metadata& m, const std::string& key, int64_t most, const std::string& source) {
  const std::string& text = entry(m, key, source);
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  check(error == std::errc() && end == text.data() + text.size() && value >= 1 && value <= most,
        "{}: '{}' must be a number from 1 to {}, got '{}'", source, key, most, text);
  return value;
}

// Says which file it was.
template <class F>
void reading(const std::string& path, F&& f) {
  try {
    f();
  } catch (const Error& e) {
    if (e.message().starts_with(path)) throw;
    fail("{}: {}", path, e.message());
  }
}

}  // namespace

Metadata to_metadata(const ModelConfig& c) {
  Metadata m{{"format", "holt"},
             {"holt.model", c.name},
             {"holt.classes", std::to_string(c.classes)},
             {"holt.channels", std::to_string(c.channels)},
             {"holt.height", std::to_string(c.height)},
             {"holt.width", std::to_string(c.width)}};
  for (auto& [name, value] : c.options) m[std::string(kOption) + name] = value;
  return m;
}

ModelConfig config_from_metadata(const Metadata& m, const std::string& source) {
  ModelConfig c{.name = entry(m, "holt.model", source),
                .classes = number(m, "holt.classes", 1 << 20, source),
                .channels = number(m, "holt.channels", 1 << 12, source),
                .height = number(m, "holt.height", 1 << 14, source),
                .width = number(m, "holt.width", 1 << 14, source)};
  for (auto& [key, value] : m)
    if (key.starts_with(kOption)) c.options[key.substr(kOption.size())] = value;
  return c;
}

void save_model(const std::string& path, const Model& model, const Metadata& extra) {
  Metadata m = to_metadata(model.config());
  for (auto& [key, value] : extra) {
    check(!key.starts_with("holt.") && key != "format", "save_model: the metadata key '{}' is holt's own", key);
    m[key] = value;
  }
  write_safetensors(path, model.state(), m);
}

std::unique_ptr<Model> load_model(const std::string& path, Device device) {
  const Safetensors file = read_safetensors(path);
  std::unique_ptr<Model> model;
  reading(path, [&] {
    Generator overwritten;
    model = make_model(config_from_metadata(file.metadata, path), overwritten);
    model->load_state(file.tensors);
  });
  model->to(device);
  model->eval();
  return model;
}

void load_weights(const std::string& path, Model& model) {
  const Safetensors file = read_safetensors(path);
  const ModelConfig config = config_from_metadata(file.metadata, path);
  check(config == model.config(), "{}: holds {}, expected {}", path, config, model.config());
  reading(path, [&] { model.load_state(file.tensors); });
}

}  // namespace holt::nn
