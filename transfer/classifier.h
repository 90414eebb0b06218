// What an adaptation starts from and ends with: a network, and what some methods put before and behind it.
//
//   x → correction φ (of +align) → network: features f, logits z → gate (of +gate) → z + γ on the missing classes
#pragma once
#include <memory>
#include <optional>
#include <string>

#include "data/image.h"
#include "data/loader.h"
#include "nn/model.h"
#include "nn/usage.h"
#include "transfer/correction.h"
#include "transfer/gate.h"
#include "transfer/nearest_class_mean.h"

namespace holt::transfer {

struct Classifier {
  std::unique_ptr<nn::Model> model;
  std::unique_ptr<Correction> correction = {};  ///< null: none
  std::optional<Gate> gate = {};
  /// Calibration: γ, added to the logits of every class that is not in `seen`. Not applied by outputs().
  double gamma = 0;
  std::vector<int64_t> seen = {};

  struct Output {
    Tensor features, logits;  ///< [N,D], [N,C]
  };
  /// What the network sees: the correction's output. In f32, also in an Autocast scope.
  Tensor input(const Tensor& images) const;
  /// For normalised images [N,H,W,C] on the model's device. Differentiable without a gate. In an Autocast scope the
  /// network computes in its dtype; features and logits are f32.
  Output outputs(const Tensor& images) const;
  /// Logits [N,C] with γ on the classes that are not in `seen`.
  Tensor calibrated(const Tensor& logits) const;
};

/// A deep copy.
Classifier clone(const Classifier& c);

/// Outputs for a whole data set in evaluation mode, in the data set's order.
struct Evaluation {
  Predictions predictions;
  Features features;
};
Evaluation evaluate(const Classifier& c, const data::Dataset& dataset, const data::Normalize& normalize, Device device);

/// One safetensors file: the model as nn::save_model writes it, with the rest beside it ("transfer.correction.kernel",
/// "transfer.gate.means", …; "transfer.gamma" and "transfer.seen" in the metadata). Written atomically.
void save_classifier(const std::string& path, const Classifier& c, const nn::Usage& usage, const Metadata& extra = {});

struct LoadedClassifier {
  Classifier classifier;
  nn::Usage usage;
  Metadata metadata;
};
/// Reads what save_classifier or `holt train` wrote. Whatever the file holds, the result is a classifier that can be
/// used, or an Error that names the file and what is wrong in it.
LoadedClassifier load_classifier(const std::string& path, Device device = {});

/// What images must be for the classifier. How they are fitted is what the file says ("transfer.fit"), else whole below
/// 64 pixels a side and cropped from there on: small images fill their frame, photographs do not.
data::Frame input_frame(const LoadedClassifier& loaded);

struct Guess {
  int64_t label;
  double probability;  ///< softmax over all C logits, after the gate and γ
};
/// The k likeliest classes of each image, likeliest first; of equal ones the first. Error for logits that are not
/// finite. `data` needs no true labels: zeros do.
std::vector<std::vector<Guess>> predict(const Classifier& c, const data::Dataset& data,
                                        const data::Normalize& normalize, Device device, int64_t k);

}  // namespace holt::transfer
