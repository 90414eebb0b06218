#include "core/json.h"

#include <nlohmann/json.hpp>

namespace holt {

using Json = nlohmann::json;

Json parse_json(std::string_view text) { return Json::parse(text); }

namespace {

template <class J>
std::string text(const J& value, int indent, NotUtf8 strings) {
  return value.dump(indent, ' ', false,
                    strings == NotUtf8::replace ? J::error_handler_t::replace : J::error_handler_t::strict);
}

}  // namespace

std::string json_text(const Json& value, int indent, NotUtf8 strings) { return text(value, indent, strings); }

std::string json_text(const nlohmann::ordered_json& value, int indent, NotUtf8 strings) {
  return text(value, indent, strings);
}

}  // namespace holt
