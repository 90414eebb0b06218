// `holt train`, without the command line: trains a classifier in a run folder, from the start or from its checkpoint.
#pragma once
#include <functional>
#include <string>

#include "apps/holt/config.h"
#include "kernels/device.h"

namespace holt::app {

struct TrainOptions {
  TrainConfig config;
  std::string data_dir;  ///< "": where the package puts the data
  std::string device = "cpu";
  int64_t workers = 0;  ///< threads that decode images; 0: one a core
  std::string out;
  bool resume = false, overwrite = false;
  bool plain = false;  ///< no rewritten line, also on a terminal
  /// With resume: Error if the run's configuration differs from what the command line asks for. Called with the
  /// checkpoint's configuration before anything else happens.
  std::function<void(const TrainConfig&)> check_resumed = [](const TrainConfig&) {};
};

/// Returns 0, or 128 + signal after a Ctrl-C that left a checkpoint. Everything that can be wrong with the options is
/// found before the first step.
int train(const TrainOptions& options);

}  // namespace holt::app
