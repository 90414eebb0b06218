#include "data/listing.h"

#include <algorithm>

#include "kernels/error.h"

namespace holt::data {
namespace fs = std::filesystem;

Listing list_folder(const char* who, const fs::path& folder) {
  Listing l;
  std::error_code error;
  for (auto it = fs::directory_iterator(folder, error); !error && it != fs::directory_iterator(); it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (name.starts_with(".")) continue;
    std::error_code broken;  // a link to nowhere, or to itself
    const fs::file_status status = it->status(broken);
    if (broken && status.type() != fs::file_type::not_found)
      fail("{}: cannot read {}: {}", who, it->path().string(), broken.message());
    (status.type() == fs::file_type::directory ? l.folders : l.files).push_back(name);
  }
  check(!error, "{}: cannot read {}: {}", who, folder.string(), error.message());
  std::sort(l.folders.begin(), l.folders.end());
  std::sort(l.files.begin(), l.files.end());
  return l;
}

}  // namespace holt::data
