// NCM: is it the features or the classifier that fine-tuning damaged? Classify by the features alone.
//
//   μ_c = mean of φ(x) over the training images of class c;   prediction = argmax_c φ(x)·μ_c / (‖φ(x)‖ ‖μ_c‖)
//
// The means are those of the raw features, not of normalised ones: an image weighs by its norm. The training images
// come from the oracle, all classes of the target domain, which the adapted model never saw: a diagnosis, not a method.
// Sums in double; N·D + M·C·D multiplications.
#pragma once
#include <cstdint>
#include <vector>

#include "core/tensor.h"
#include "transfer/predictions.h"

namespace holt::transfer {

/// Features of labelled images.
struct Features {
  int64_t width = 0;            ///< D
  std::vector<float> values;    ///< [N, D], row-major
  std::vector<int64_t> labels;  ///< [N]

  int64_t size() const { return static_cast<int64_t>(labels.size()); }
  /// Appends a batch: features [n, D] of any floating dtype and device, labels i64 [n]. The first batch sets D.
  void add(const Tensor& features, const Tensor& labels);
};

/// Fractions 0 … 1; 0 for a group without images.
struct NcmResult {
  double overall = 0, seen = 0, unseen = 0;
  std::vector<int64_t> class_samples, class_correct;  ///< [C], by label
};

/// Accuracy on `test` with the class means of `training`. A class without training images never wins, nor one whose
/// mean is zero or not finite; of equal cosines (as rounded) the class with the smaller index wins; test features with
/// a NaN are wrong. Errors: sizes that do not fit, labels outside 0 … C − 1 (C = seen.size()), no training images.
NcmResult nearest_class_mean(const Features& training, const Features& test, const Seen& seen);

}  // namespace holt::transfer
