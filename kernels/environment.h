// Switches that the environment holds.
#pragma once
#include <cstdlib>
#include <string_view>

#include "kernels/error.h"

namespace holt {

/// Whether the variable is 1; unset, empty and 0 are off. Anything else is an Error: `refusal`, which ends in "got
/// '{}'".
inline bool environment_switch(const char* name, detail::Format refusal) {
  const char* const value = std::getenv(name);
  const std::string_view text = value ? value : "";
  check(text.empty() || text == "0" || text == "1", refusal, text);
  return text == "1";
}

}  // namespace holt
