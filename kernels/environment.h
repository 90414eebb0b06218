// Switches that the environment holds.
#pragma once
#include <cstdlib>
#include <string_view>

#include "kernels/error.h"

namespace holt {

/// Whether the variable is 1 rather than 0; unset and empty are `otherwise`. Anything else is an Error: `refusal`,
/// which ends in "got '{}'".
inline bool environment_switch(const char* name, detail::Format refusal, bool otherwise = false) {
  const char* const value = std::getenv(name);
  const std::string_view text = value ? value : "";
  check(text.empty() || text == "0" || text == "1", refusal, text);
  return text.empty() ? otherwise : text == "1";
}

}  // namespace holt
