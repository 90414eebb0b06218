// The one exception of holt, and the checks that throw it.
//
//   check(x.rank() == 2, "linear: x must be [N, in], got {}", x);     →  holt::Error with the text and file:line
//
// Everything from outside (shapes, files, flags) is checked before any work. Messages begin with the op's name, say
// what was expected and what was received, and name what to fix.
#pragma once
#include <fmt/core.h>

#include <concepts>
#include <source_location>
#include <stdexcept>
#include <string>
#include <string_view>

namespace holt {

class Error : public std::runtime_error {
 public:
  explicit Error(std::string message, std::source_location where = std::source_location::current());
  /// The text without "(file:line)".
  const std::string& message() const { return message_; }

 private:
  std::string message_;
};

namespace detail {

/// A format string that remembers who wrote it.
struct Format {
  std::string_view text;
  std::source_location where;
  constexpr Format(const char* t, std::source_location w = std::source_location::current()) : text(t), where(w) {}
};

// holt's own types print through their to_string(); what fmt knows is passed on untouched, so that this header needs
// only fmt/core.h and costs little to include.
template <class T>
decltype(auto) printable(const T& x) {
  if constexpr (requires {
                  { to_string(x) } -> std::convertible_to<std::string>;
                })
    return to_string(x);
  else
    return (x);
}

[[noreturn]] void fail(const Format& format, fmt::format_args args);

}  // namespace detail

/// Throws Error with the formatted text.
template <class... A>
[[noreturn]] void fail(detail::Format format, const A&... args) {
  [&](const auto&... printed) { detail::fail(format, fmt::make_format_args(printed...)); }(detail::printable(args)...);
  __builtin_unreachable();
}

/// Throws Error with the formatted text unless `ok`.
template <class... A>
void check(bool ok, detail::Format format, const A&... args) {
  if (!ok) [[unlikely]]
    fail(format, args...);
}

}  // namespace holt
