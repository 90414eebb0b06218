#include "apps/holt/model_file.h"

#include <filesystem>

#include "apps/holt/checkpoint.h"

namespace holt::app {

std::string model_file(const char* command, const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  check(fs::exists(path, ignored), "{}: there is no model {}; 'holt train' makes one", command, path);
  if (!fs::is_directory(path, ignored)) return path;
  for (const char* name : {"/model.safetensors", "/checkpoint.safetensors"})
    if (fs::exists(path + name, ignored)) return path + name;
  fail("{}: the folder {} holds neither model.safetensors nor checkpoint.safetensors", command, path);
}

transfer::LoadedClassifier load_for_use(const std::string& path, Device device) {
  if (!holds_checkpoint(path)) return transfer::load_classifier(path, device);
  LoadedModel loaded = load_checkpoint_model(path);
  loaded.model->to(device);
  return {.classifier = {.model = std::move(loaded.model)}, .usage = std::move(loaded.usage), .metadata = {}};
}

}  // namespace holt::app
