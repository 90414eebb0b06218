// JSON's text, read and written. nlohmann's parser and printer are templates of some 300 KB in each source file that
// calls parse() or dump(), so that these two, in one file, are called instead.
#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace holt {

/// What to do with strings that are not UTF-8, which JSON cannot hold: throw nlohmann::json::type_error, or write
/// U+FFFD in place of their bad bytes (for messages, in which a file's name may stand).
enum class NotUtf8 { refuse, replace };

/// The value. Throws nlohmann::json::parse_error, which says where.
nlohmann::json parse_json(std::string_view text);

/// On one line, or on many, each level indented by `indent` spaces.
std::string json_text(const nlohmann::json& value, int indent = -1, NotUtf8 strings = NotUtf8::refuse);
std::string json_text(const nlohmann::ordered_json& value, int indent = -1, NotUtf8 strings = NotUtf8::refuse);

}  // namespace holt
