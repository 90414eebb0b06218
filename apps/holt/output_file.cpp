#include "apps/holt/output_file.h"

#include <filesystem>

#include "kernels/error.h"

namespace holt::app {

void check_output_file(const char* command, const std::string& out, const std::string& input, const char* what,
                       bool overwrite) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  const fs::path folder = fs::path(out).parent_path();
  check(folder.empty() || fs::is_directory(folder, ignored), "{}: there is no folder {} for {}", command,
        folder.string(), out);
  check(!fs::is_directory(out, ignored), "{}: {} is a folder; name a file in it", command, out);
  check(!fs::equivalent(out, input, ignored), "{}: {} is the {} itself; write to another file", command, out, what);
  check(overwrite || !fs::exists(out, ignored), "{}: {} exists; --overwrite replaces it", command, out);
}

}  // namespace holt::app
