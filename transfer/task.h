// A partial-target task: a source domain on which a model knows all classes, a target domain of which only the seen
// classes could be collected, and a test of all classes in the target domain.
#pragma once
#include <string>

#include "data/benchmark.h"
#include "transfer/split.h"

namespace holt::transfer {

struct Task {
  std::string data, source, target;
  Split split = {};
  data::Dataset train = {};      ///< target images of the seen classes: all that a method may use
  data::Dataset train_all = {};  ///< target images of all classes: for the oracle and for measuring, never for a method
  data::Dataset test = {};       ///< target images of all classes
  data::Normalize normalize = {};  ///< the inputs of the network

  int64_t classes() const { return train_all.num_classes(); }
};

/// What is to be cut out of a benchmark; `data_seed` is the benchmark's, `split_seed` draws the seen classes.
struct TaskRequest {
  std::string source, target;
  std::string split = "random";  ///< as make_split() takes it
  uint64_t split_seed = 0, data_seed = 0;
  int64_t limit = 0;  ///< images of each class in each part; 0: all
};
/// The task's split, known before an image is decoded. Errors: those of labels() and make_split(); a seen class without
/// training images.
Split task_split(const std::string& name, const data::Benchmark& benchmark, const TaskRequest& request);
/// Errors: those of load() and task_split().
Task make_task(const std::string& name, const data::Benchmark& benchmark, const TaskRequest& request);

/// A task of images at hand: no test, and the seen classes are those of which `train` holds images. With all classes
/// seen nothing is missing: then only the oracle makes sense. Errors: those of validate(); no images.
Task own_task(const data::Dataset& train, const data::Normalize& normalize);

/// At most `limit` samples of each class, the first ones; all for 0.
data::Dataset limited(const data::Dataset& dataset, int64_t limit);

/// The samples whose class is in `keep` (C flags).
data::Dataset of_classes(const data::Dataset& dataset, const std::vector<bool>& keep);

}  // namespace holt::transfer
