// Weights of torchvision, timm or Hugging Face (nn/weights/weights.h) as a start of training, or in place of a model of
// holt's.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "nn/usage.h"
#include "nn/weights/weights.h"
#include "transfer/classifier.h"

namespace holt::app {

/// What a weights file does not say, or says otherwise.
struct WeightsQuestion {
  std::string model = {};                 ///< "": guessed
  std::vector<std::string> classes = {};  ///< names; none: "0", "1", …
  int64_t height = 0, width = 0;          ///< of the images; 0: the file's
  int64_t channels = 0;                   ///< 0: the file's
  std::string normalize = {};             ///< imagenet, half, clip; "": what the scheme's models are trained with
  bool classifier = true;                 ///< false: nobody will ask for one, so none need be named
};

/// The file's weights in a model, on cpu. Errors: no model fits and none is named; the number of names is not that of
/// the file's classes (a file without a classifier gets a new one for them).
struct PretrainedModel {
  std::unique_ptr<nn::Model> model;
  nn::Usage usage;
  std::vector<std::string> notes;
};
PretrainedModel load_pretrained(const nn::Weights& weights, const WeightsQuestion& question);

/// The same for a command that uses the model; `notes` are printed on stderr.
transfer::LoadedClassifier use_pretrained(const std::string& path, const WeightsQuestion& question, Device device);

/// One name a line. Error if the file has none.
std::vector<std::string> read_class_names(const std::string& path);

/// "resnet50.pth: resnet50 with names of torchvision" and the notes, for people.
std::vector<std::string> described(const nn::Weights& weights, const std::vector<std::string>& notes);

}  // namespace holt::app
