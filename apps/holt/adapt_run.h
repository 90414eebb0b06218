// holt adapt, once its flags are read.
#pragma once
#include <string>
#include <vector>

#include "core/tensor.h"

namespace holt::app {

struct AdaptOptions {
  std::string model, data, out;
  std::string weights, classes;  ///< pretrained weights in place of a model, and a file that names their classes
  int64_t image_size = 0;        ///< of those; 0: the file's
  std::string method = "holt", select = "none", calibrate = "none";
  std::string fit;  ///< crop or whole; "": what the model's file says
  std::vector<std::string> sets;
  int64_t seed = 0, local_workers = 1;
  Device device = {};
  DType precision = DType::f32;
  bool skip_corrupt = false, overwrite = false, plain = false;
};

/// Writes the adapted model. Returns the exit code: 128 + signal if it was stopped; then nothing was written.
int run_adapt(const AdaptOptions& options);

}  // namespace holt::app
