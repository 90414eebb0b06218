#include "core/torch_file.h"
#include "nn/state_file.h"
#include "nn/weights/weights.h"

namespace holt::nn {

void save_weights(const std::string& path, const Model& model, const std::string& scheme, const Metadata& extra) {
  const bool torch = path.ends_with(".pth") || path.ends_with(".pt") || path.ends_with(".bin");
  if (scheme == "holt") {
    check(!torch, "{}: holt's own files are safetensors", path);
    return save_model(path, model, extra);
  }
  const std::string family = family_of(model.config());
  const Scheme* const names = find_scheme(family, scheme);
  check(names != nullptr, "{}: {} has no names of {}; known for it: {}", path, model.config().name, scheme,
        family.empty() ? "holt" : "holt, " + scheme_names(family));
  const State theirs = to_theirs(*names, model.state());
  if (torch) return write_torch_file(path, {theirs.begin(), theirs.end()});
  Metadata metadata = extra;
  metadata["format"] = "pt";  // what Hugging Face's reader asks for: PyTorch's layout
  write_safetensors(path, theirs, metadata);
}

}  // namespace holt::nn
