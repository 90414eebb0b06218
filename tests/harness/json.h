// JSON in tests: parse_json() in place of nlohmann's parser, and one function that prints, for GoogleTest's messages,
// so that tests do not each instantiate both.
#pragma once
#include <nlohmann/json.hpp>
#include <ostream>

#include "core/json.h"

namespace nlohmann {

inline void PrintTo(const json& value, std::ostream* out) {
  *out << holt::json_text(value, -1, holt::NotUtf8::replace);
}

}  // namespace nlohmann
