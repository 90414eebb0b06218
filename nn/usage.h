// How to use a trained classifier: what its outputs mean and what its inputs must be. Written beside the weights, as
// one more entry of the file's metadata (nn/state_file.h):
//
//   "usage": {"classes": ["T-shirt/top", …], "mean": [0.286], "std": [0.353]}
#pragma once
#include <string>
#include <vector>

#include "core/safetensors.h"
#include "nn/model.h"

namespace holt::nn {

struct Usage {
  std::vector<std::string> classes;  ///< a name for each output
  std::vector<float> mean, std;      ///< for each channel: inputs are (x − mean) / std, of pixels scaled to 0 … 1
  friend bool operator==(const Usage&, const Usage&) = default;
};

/// Error unless there is a name for each class and a mean and a positive std for each channel; `source` (a file's name)
/// begins its message.
void validate(const Usage& usage, const ModelConfig& config, const std::string& source);

Metadata to_metadata(const Usage& usage);
/// Validated; the same Error also where the entry is missing or no such thing.
Usage usage_from_metadata(const Metadata& metadata, const ModelConfig& config, const std::string& source);

}  // namespace holt::nn
