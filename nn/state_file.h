// Models in safetensors files: the state's tensors, and in the metadata what it takes to build the model again:
//
//   "format": "holt"   "holt.model": "resnet8"   "holt.classes": "10"   "holt.channels": "1"   "holt.height": "28"
//   "holt.width": "28"   "holt.option.shortcut": "B"
//
// Convolution weights are [Cout, KH, KW, Cin], as in memory.
#pragma once
#include "core/safetensors.h"
#include "nn/model.h"

namespace holt::nn {

Metadata to_metadata(const ModelConfig& config);
/// `source` (a file's name) begins the message of the Error if an entry is missing, is no number, or is out of range.
ModelConfig config_from_metadata(const Metadata& metadata, const std::string& source);

/// Writes atomically; `extra` joins the metadata (its keys must not begin with "holt.").
void save_model(const std::string& path, const Model& model, const Metadata& extra = {});

/// Builds the model that the file names and loads its weights; in evaluation mode. Errors name the file: not a model
/// of holt, an unknown model or option, missing, unexpected or misshapen tensors.
std::unique_ptr<Model> load_model(const std::string& path, Device device = {});

/// Loads into a model that is there already. If the file holds another model, one Error says which and which was
/// expected; then the model is as before.
void load_weights(const std::string& path, Model& model);

}  // namespace holt::nn
