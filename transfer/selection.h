// Choosing hyperparameters and γ without looking at the missing classes, whose images a real user does not have.
//
// Pseudo-partial cross-validation ("pcv"): halve the seen classes, adapt with each half as if it were all that was
// seen, and ask the result about held-out training images of both halves. What serves the half that was left out there
// should serve the missing classes in earnest. (For γ: Mai et al. 2024, arXiv 2409.16223, §5; for hyperparameters: the
// same halves, scored by the balanced accuracy.)
#pragma once
#include <map>

#include "transfer/adapt.h"
#include "transfer/metrics.h"

namespace holt::transfer {

struct Fold {
  Predictions held_out;  ///< of images of S on which nothing was trained
  Seen pseudo_seen;      ///< the half that was trained on, of all C classes
};

/// Adapts twice, with either half of S. A fifth of each class's training images is held out (at least one; the only one
/// of a class is held out and trained on). Errors: fewer than two seen classes; those of adapt().
std::vector<Fold> pseudo_folds(nn::Model& source, const Task& task, const Method& method, const Options& options,
                               const AdaptSettings& settings);

/// The balanced accuracy over the logits of S, mean over the folds: 0 … 1.
double pseudo_score(const std::vector<Fold>& folds, const Task& task);
/// γ, mean over the folds.
double pseudo_calibration(const std::vector<Fold>& folds, const Task& task);

enum class Selection {
  none,    ///< the options as given
  pcv,     ///< by pseudo_score
  oracle,  ///< by test accuracy: to know what the choice costs. Results are marked
};
Selection parse_selection(const std::string& name);
std::string to_string(Selection s);

struct Selected {
  Options options;
  std::map<std::string, std::string> chosen;  ///< what was tried, with the value taken
};
/// Tries the learning rate (a third, as given, three times) and then each entry of the parts' grids in turn, keeping
/// the best so far; of equally good ones, the one as given.
Selected select_options(Selection selection, nn::Model& source, const Task& task, const Method& method,
                        const Options& options, const AdaptSettings& settings);

}  // namespace holt::transfer
