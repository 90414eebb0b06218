// Accuracies of a partial-target task: over all classes, by group of classes, within the group, by class.
//
//   right: the label's logit is the first largest of z_c + γ·[c ∈ U] over all C classes (ties, NaN: predictions.h)
//   within the group: the first largest of z_c over the label's own group, S or U
//   harmonic mean: 2·seen·unseen / (seen + unseen)
//
// A group or class without images has accuracy 0; its count, 0 too, tells that this says nothing.
#pragma once
#include <cstdint>
#include <vector>

#include "transfer/predictions.h"

namespace holt::transfer {

/// Accuracies are fractions, 0 … 1.
struct Metrics {
  double overall = 0;           ///< of all images
  double seen = 0, unseen = 0;  ///< of the images whose label is in S, in U
  double hmean = 0;             ///< harmonic mean of seen and unseen
  double seen_in_seen = 0;      ///< of the images of S, argmax within S: what γ = −∞ gives
  double unseen_in_unseen = 0;  ///< of the images of U, argmax within U: what γ = +∞ gives
  int64_t samples = 0, seen_samples = 0, unseen_samples = 0;
  std::vector<int64_t> class_samples, class_correct;  ///< [C], by label
  std::vector<int64_t> class_correct_in_group;        ///< [C], by label, argmax within the label's group

  double class_accuracy(int64_t c) const;
  double class_accuracy_in_group(int64_t c) const;
};

/// The metrics with γ added to the logits of U. Errors: those of duels(); a γ that is not finite.
Metrics measure(const Predictions& predictions, const Seen& seen, double gamma = 0);
Metrics measure(const std::vector<Duel>& duels, const Seen& seen, double gamma = 0);

/// Counts [C, C], row-major: row = label, column = prediction with γ added to the logits of U. Images without a
/// prediction (a NaN) are in no column, so that a row may sum to less than its class's images.
std::vector<int64_t> confusion(const Predictions& predictions, const Seen& seen, double gamma = 0);

/// part / whole; 0 of nothing is 0.
double fraction(int64_t part, int64_t whole);

/// 2·a·b / (a + b); 0 for two zeros.
double harmonic_mean(double a, double b);

}  // namespace holt::transfer
