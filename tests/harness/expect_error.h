// EXPECT_ERROR(statement, "part of the text", …): exactly a holt::Error, whose message contains the parts. error_of(f):
// its message.
#pragma once
#include <gtest/gtest.h>

#include <concepts>
#include <optional>
#include <string>
#include <vector>

#include "kernels/error.h"

#define EXPECT_ERROR(statement, ...)                                                           \
  try {                                                                                        \
    static_cast<void>(statement);                                                              \
    ADD_FAILURE() << "no Error from " #statement;                                              \
  } catch (const holt::Error& e) {                                                             \
    for (const std::string& part : std::vector<std::string>{__VA_ARGS__})                      \
      EXPECT_NE(e.message().find(part), std::string::npos) << part << ": not in " << e.what(); \
  } catch (const std::exception& e) { ADD_FAILURE() << "not a holt::Error: " << e.what(); }    \
  static_assert(true, "takes the semicolon")

namespace holt {

// The Error that f throws, if it throws one.
template <std::invocable F>
std::optional<Error> error_from(F&& f) {
  try {
    f();
  } catch (const Error& e) { return e; }
  return std::nullopt;
}

inline const std::string kNoError = "no error";

// Its message, without file and line; kNoError if there is none.
template <std::invocable F>
std::string error_of(F&& f) {
  const std::optional<Error> e = error_from(f);
  return e ? e->message() : kNoError;
}

// The same with file and line.
template <std::invocable F>
std::string text_of(F&& f) {
  const std::optional<Error> e = error_from(f);
  return e ? e->what() : kNoError;
}

}  // namespace holt
