// One job: one method on one target with one seed, from options to a result.
#pragma once
#include "transfer/result.h"
#include "transfer/selection.h"

namespace holt::transfer {

struct JobSpec {
  std::string method;
  Options options = {};                ///< before the method's own (an alias sets some) and `sets`
  std::vector<std::string> sets = {};  ///< "lr=0.01", "sgd:lr=0.01" (for that method alone), in order
  DType precision = DType::f32;        ///< of the network's arithmetic
  Selection selection = Selection::none;
  std::vector<std::string> calibrations = {"alg", "best"};  ///< of alg, pcv, best
  uint64_t seed = 0;
  int64_t checkpoints = 3;  ///< how often the test accuracy is measured while it trains
  std::string source_id = {};
};

/// What a text of `sets` says. Error where it has no '='.
struct Setting {
  std::string method, name, value;  ///< method "": for all
};
Setting parse_setting(const std::string& text);

/// The method's parts and final options. Errors: those of parse_setting, parse_method and set.
Method resolve(const JobSpec& spec, Options& options);

/// What the job is known by: a fingerprint of all that determines its result.
std::string job_id(const JobSpec& spec, const Task& task, const std::string& data_identity, Device device);

/// Adapts, measures, calibrates. Throws what went wrong; the caller makes it a Result with an error.
Result run_job(const JobSpec& spec, const Task& task, nn::Model& source, const AdaptSettings& settings);

/// A result with everything but the outcome: for a job that failed. Looks at no image.
Result blank_result(const JobSpec& spec, const Task& task, Device device);

}  // namespace holt::transfer
