// What one job leaves: everything needed to repeat it, to tabulate it and to draw it. One line of JSON in
// results.jsonl.
#pragma once
#include <array>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "transfer/options.h"
#include "transfer/split.h"

namespace holt::transfer {

/// Accuracies, 0 … 1; a group without test images counts as 0.
struct Accuracies {
  double gamma = 0;  ///< added to the missing classes' logits
  double overall = 0, seen = 0, unseen = 0, hmean = 0;
};

/// One test image that a report shows, chosen by position, not by outcome.
struct Sample {
  int64_t position = 0, label = 0, predicted = 0;
  double probability = 0;  ///< of the predicted class
};

/// Measured while it trained, on the test images: for the picture of forgetting, never for a choice.
struct Checkpoint {
  int64_t step = 0;
  double seen = 0, unseen = 0;
};

struct Result {
  // What was done.
  std::string id;  ///< of the job: equal for equal data, source, target, method, options, split, seed, selection
  std::string data, source, target, method;
  std::vector<std::string> classes;
  uint64_t seed = 0;
  Split split = {};
  Options options = {};                              ///< as used, after selection
  std::string selection = "none";                    ///< none, pcv, oracle
  std::map<std::string, std::string> selected = {};  ///< the options that the selection chose
  std::string source_id;                             ///< of the source model
  std::string commit, device, precision = "f32";
  int64_t threads = 1;

  // What came out. An error leaves the rest empty.
  std::string error = {};
  Accuracies plain = {};                                     ///< γ = 0
  double seen_in_seen = 0, unseen_in_unseen = 0, ausuc = 0;  ///< AUSUC 0 … 1
  Accuracies ncm = {};                                       ///< nearest class mean, on oracle target features
  std::map<std::string, Accuracies> calibrated = {};         ///< by "alg", "pcv", "best"
  std::vector<std::array<double, 2>> curve = {};  ///< (seen, unseen), γ from −∞ to +∞, thinned for drawing
  std::vector<int64_t> class_count = {}, class_correct = {};  ///< test images by class, at γ = 0
  std::vector<std::array<int64_t, 3>> confusion = {};         ///< (label, predicted, count) where the count is not 0
  std::vector<float> loss = {}, batch_accuracy = {};          ///< of each training step
  std::vector<Checkpoint> checkpoints = {};
  std::vector<Sample> samples = {};

  // What it cost.
  double seconds = 0, selection_seconds = 0;  ///< of the adaptation; of choosing and of pseudo cross-validation
  int64_t peak_bytes = 0;                     ///< of the whole process until then, all jobs side by side
};

void to_json(nlohmann::json& j, const Result& r);
/// Throws nlohmann's exception for a missing or mistyped entry.
void from_json(const nlohmann::json& j, Result& r);

}  // namespace holt::transfer
