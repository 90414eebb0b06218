// The one exception of holt, and the checks that throw it.
//
//   check(x.rank() == 2, "linear: x must be [N, in], got {}", x);     →  holt::Error with the text and file:line
//
// Everything from outside (shapes, files, flags) is checked before any work. Messages begin with the op's name, say
// what was expected and what was received, and name what to fix.
#pragma once
#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <source_location>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>

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

/// A format string (fmt's syntax) that remembers who wrote it.
struct Format {
  std::string_view text;
  std::source_location where;
  constexpr Format(const char* t, std::source_location w = std::source_location::current()) : text(t), where(w) {}
};

// The types behind a message are erased before fmt sees them: fmt is then included by one file only (its headers are
// slow, and nvcc refuses those of Debian 12). holt's own types print through their to_string().
using FormatArg = std::variant<bool, int64_t, uint64_t, double, std::string>;

template <class T>
FormatArg format_arg(const T& x) {
  if constexpr (std::is_same_v<T, bool>)
    return x;
  else if constexpr (std::is_same_v<T, char>)
    return std::string(1, x);
  else if constexpr (std::is_floating_point_v<T>)
    return static_cast<double>(x);
  else if constexpr (std::is_integral_v<T> && std::is_signed_v<T>)
    return static_cast<int64_t>(x);
  else if constexpr (std::is_integral_v<T>)
    return static_cast<uint64_t>(x);
  else if constexpr (std::is_convertible_v<const T&, std::string_view>)
    return std::string(std::string_view(x));
  else
    return to_string(x);
}

[[noreturn]] void fail(const Format& format, std::initializer_list<FormatArg> args);
std::string format(std::string_view text, std::initializer_list<FormatArg> args);

}  // namespace detail

/// Throws Error with the formatted text.
template <class... A>
[[noreturn]] void fail(detail::Format format, const A&... args) {
  detail::fail(format, {detail::format_arg(args)...});
}

/// Throws Error with the formatted text unless `ok`.
template <class... A>
void check(bool ok, detail::Format format, const A&... args) {
  if (!ok) [[unlikely]]
    fail(format, args...);
}

/// The text itself: format("{} of {}", 3, 10).
template <class... A>
std::string format(std::string_view text, const A&... args) {
  return detail::format(text, {detail::format_arg(args)...});
}

}  // namespace holt
