#include "kernels/error.h"

#include <fmt/format.h>

#include <cstring>

namespace holt {
namespace {

// Paths from the build machine mean nothing to a user: keep what follows the repository's root.
const char* short_path(const char* file) {
  const size_t root = std::strlen(HOLT_SOURCE_DIR) + 1;
  return std::strncmp(file, HOLT_SOURCE_DIR, root - 1) == 0 ? file + root : file;
}

}  // namespace

Error::Error(std::string message, std::source_location where)
    : std::runtime_error(fmt::format("{} ({}:{})", message, short_path(where.file_name()), where.line())),
      message_(std::move(message)) {}

void detail::fail(const Format& format, fmt::format_args args) {
  throw Error(fmt::vformat(format.text, args), format.where);
}

}  // namespace holt
