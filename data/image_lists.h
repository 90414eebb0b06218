// Text lists of images, one `path label` a line, as Office-Home's published split has them.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "data/image_files.h"

namespace holt::data {

/// The images of one domain. Where `split`, `train` and `test` are given; else all are in `train`, to be split.
struct ImageDomain {
  std::vector<ImageFile> train = {}, test = {};
  bool split = false;
};

/// Domains by name, and the classes of all of them.
struct ImageDomains {
  std::map<std::string, ImageDomain> domains = {};
  std::vector<std::string> classes = {};
};

/// What the lists in `folder` say (data/folder.h has the rules), or nothing if it holds none.
std::optional<ImageDomains> read_image_lists(const std::string& folder);

}  // namespace holt::data
