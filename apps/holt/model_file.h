// A model as a person names it: a file, or the folder of the run that made it.
#pragma once
#include <string>

#include "transfer/classifier.h"

namespace holt::app {

/// The file that `path` stands for: itself, or in a run folder model.safetensors or checkpoint.safetensors. Error if
/// there is none; `command` begins its message.
std::string model_file(const char* command, const std::string& path);

/// The classifier in a model file, an adapted one, or a checkpoint.
transfer::LoadedClassifier load_for_use(const std::string& path, Device device);

}  // namespace holt::app
