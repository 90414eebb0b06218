// What lies in a folder of a person's own data.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

namespace holt::data {

/// The names that do not begin with a dot, sorted; folders and files apart. Symbolic links are followed.
struct Listing {
  std::vector<std::string> folders, files;
};
/// Error if the folder, or what a link in it points to, cannot be read; `who` begins its message.
Listing list_folder(const char* who, const std::filesystem::path& folder);

}  // namespace holt::data
