// An image classifier f(x) = W·φ(x) + b: transfer needs φ and (W, b) apart.
#pragma once
#include <map>
#include <string>

#include "nn/layers.h"

namespace holt::nn {

/// What it takes to build a model again; written with its weights.
struct ModelConfig {
  std::string name = {};  ///< as in the registry: "resnet8"
  int64_t classes = 10;   ///< C
  int64_t channels = 1;   ///< of the input images
  int64_t height = 28, width = 28;
  std::map<std::string, std::string> options = {};  ///< the model's own; see `nn/models/registry.h`

  friend bool operator==(const ModelConfig&, const ModelConfig&) = default;
};

/// "resnet8(classes 10, input 28×28×1, shortcut B)"; options that are empty are left out.
std::string to_string(const ModelConfig& c);

class Model : public Module {
 public:
  /// φ: images [N,H,W,channels] → [N,D], what the classifier sees.
  virtual Tensor features(const Tensor& x) = 0;
  /// W [C,D] and b [C].
  virtual Linear& classifier() = 0;
  /// Logits [N,C].
  Tensor forward(const Tensor& x) override { return classifier()(features(x)); }
  const ModelConfig& config() const { return config_; }
  /// Puts `head` in the classifier's place, W [C', D] and b [C'] of any number of classes, and moves it to the model's
  /// device; config().classes becomes C'. Error unless it takes as many features and has a bias. Make the optimiser
  /// afterwards.
  void replace_classifier(Linear head);
  /// The same with a new one for so many classes, drawn as the model draws its own.
  void replace_classifier(int64_t classes, Generator&);
  std::string label() const override { return to_string(config_); }

 protected:
  explicit Model(ModelConfig config);
  /// Error unless x is [N, height, width, channels] of the configuration.
  void check_images(const Tensor& x) const;
  /// A classifier as the model's constructor draws it.
  virtual Linear drawn_classifier(int64_t features, int64_t classes, Generator& g) const {
    return {features, classes, g};
  }

 private:
  ModelConfig config_;
};

}  // namespace holt::nn
