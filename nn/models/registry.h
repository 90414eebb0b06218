// Models by name.
//
//   auto model = make_model({.name = "resnet8", .classes = 10, .channels = 1, .height = 28, .width = 28}, rng);
#pragma once
#include <functional>

#include "nn/model.h"

namespace holt::nn {

struct ModelOption {
  std::string name, standard, description;
};

struct ModelEntry {
  std::string name, description;
  std::vector<ModelOption> options;
  /// `config` holds every option.
  std::function<std::unique_ptr<Model>(const ModelConfig& config, Generator&)> make;
};

/// All models, in the order in which to list them.
const std::vector<ModelEntry>& models();

/// "resnet8" or "resnet8:stem_stride=2,shortcut=A" → name and options; the rest of the result is ModelConfig's default.
ModelConfig parse_model(const std::string& text);

/// Builds a model with weights from the generator, on the cpu. Options that the configuration lacks take their standard
/// value and then stand in the model's config(). Errors: an unknown name or option (the message lists the known ones),
/// a value that does not parse.
std::unique_ptr<Model> make_model(ModelConfig config, Generator&);

}  // namespace holt::nn
