#include "kernels/error.h"

#include <fmt/args.h>
#include <fmt/format.h>

#include <cstring>

namespace holt {
namespace {

// Paths from the build machine mean nothing to a user: keep what follows the repository's root.
const char* short_path(const char* file) {
  while (std::strncmp(file, "../", 3) == 0) file += 3;  // compiled by a relative name
  const size_t root = std::strlen(HOLT_SOURCE_DIR);
  return std::strncmp(file, HOLT_SOURCE_DIR, root) == 0 && file[root] == '/' ? file + root + 1 : file;
}

}  // namespace

Error::Error(std::string message, std::source_location where)
    : std::runtime_error(fmt::format("{} ({}:{})", message, short_path(where.file_name()), where.line())),
      message_(std::move(message)) {}

std::string detail::format(std::string_view text, std::initializer_list<FormatArg> args) {
  fmt::dynamic_format_arg_store<fmt::format_context> store;
  for (const FormatArg& a : args) std::visit([&](const auto& x) { store.push_back(x); }, a);
  return fmt::vformat(text, store);
}

void detail::fail(const Format& f, std::initializer_list<FormatArg> args) {
  throw Error(format(f.text, args), f.where);
}

}  // namespace holt
