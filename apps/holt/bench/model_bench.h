// holt bench model: a network's training step, or its inference, timed against the machine's peak.
#pragma once
#include <cstdint>
#include <string>

#include "kernels/dtype.h"

namespace holt::app {

struct ModelBench {
  std::string model = "resnet50";  ///< a name of the registry, with options: "resnet50:drop_path=0.1"
  int64_t batch = 16;
  int64_t image_size = 0, classes = 0;  ///< 0: what the model is for
  DType precision = DType::f32;
  bool inference = false, profile = false;
  bool processor_time = false;  ///< instead of the wall's: for one thread on a busy machine
  int64_t warmup = 2, steps = 10;
  std::string json;  ///< a file for the numbers; empty: none
};

/// Prints what was measured. Returns the exit code.
int bench_model(const ModelBench& options);

}  // namespace holt::app
