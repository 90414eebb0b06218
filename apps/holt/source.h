// Data sets by the names that --data takes.
#pragma once
#include <string>
#include <vector>

#include "data/benchmark.h"

namespace holt::app {

using data::Part;

struct Source {
  data::Dataset dataset;
  data::Normalize normalize;  ///< of the training images
};

const std::vector<std::string>& source_names();

/// Reads one part of a data set. `folder` "" is where the package puts it; `limit` > 0 keeps that many first samples.
Source load_source(const std::string& name, Part part, const std::string& folder, int64_t limit);

}  // namespace holt::app
