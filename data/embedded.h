// Files that are part of the program itself: nothing to install, nothing to find. Filled by cmake/HoltEmbed.cmake.
#pragma once
#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

namespace holt::data {

struct EmbeddedFile {
  std::string_view name;  ///< without its folder
  std::span<const std::byte> bytes;
};

/// data/glyphs/masters: the sheets and index.json.
const std::vector<EmbeddedFile>& embedded_glyphs();

}  // namespace holt::data
