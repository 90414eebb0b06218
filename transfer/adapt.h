// One adaptation, from a source model to a classifier for the target.
//
//   Options options;
//   const Method method = parse_method("frozen-classifier+lolsgd", options);
//   const Adapted adapted = adapt(*source_model, task, method, options, {.seed = 0});
#pragma once
#include "transfer/method.h"

namespace holt::transfer {

struct AdaptSettings {
  uint64_t seed = 0;
  Device device = {};
  DType precision = DType::f32;          ///< of the network's arithmetic: f32, bf16 or f16 (core/autocast.h)
  int64_t local_workers = 1;             ///< threads that train LOLSGD's locals; changes nothing but the time
  std::function<bool()> cancelled = {};  ///< true ends the adaptation with an Error
  /// Called now and then while it trains, with the steps done and the classifier as it is.
  std::function<void(int64_t step, const Classifier& now)> watch = {};
};

struct Adapted {
  Classifier classifier;
  Adaptation::History history;
  double seconds = 0;
};

/// Runs the method's parts: begin, train, end. `source` stays as it is and is only read: adaptations in other threads
/// may share it if they all run on one device and it is in evaluation mode (prepare_source). The result is a function
/// of the arguments, whatever runs beside it.
Adapted adapt(nn::Model& source, const Task& task, const Method& method, const Options& options,
              const AdaptSettings& settings);

/// Evaluation mode, on `device`, nothing trainable: what adapt() wants of a source model that is shared.
void prepare_source(nn::Model& source, Device device);

}  // namespace holt::transfer
