// Data sets by the names that --data takes.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "data/benchmark.h"
#include "data/image_folder.h"

namespace holt::app {

using data::Part;

struct Source {
  std::shared_ptr<const data::Samples> samples;
  data::Normalize normalize;  ///< of the training images
  /// Null, or `samples` where they are decoded from files as they are asked for.
  std::shared_ptr<const data::ImageFolder> files = {};
};

struct SourceRequest {
  std::string name;
  Part part = Part::train;
  std::string folder = {};    ///< "": where the package puts it; `folder` has none
  int64_t limit = 0;          ///< > 0: so many samples only
  data::Frame frame = {};     ///< of `folder`'s images
  bool skip_corrupt = false;  ///< leave out what cannot be read
};

const std::vector<std::string>& source_names();
/// "fashion (Fashion-MNIST), folder (…)": for help texts.
std::string source_help();

Source load_source(const SourceRequest& request);

/// "3 images cannot be read and were left out:" and the first of them; "" if there are no more than `known`.
std::string left_out(const Source& source, size_t known = 0);

}  // namespace holt::app
