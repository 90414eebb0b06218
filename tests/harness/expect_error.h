// EXPECT_ERROR(statement, "part of the text", …): exactly a holt::Error, whose text contains the parts. error_of(f):
// its text.
#pragma once
#include <gtest/gtest.h>

#include <concepts>
#include <string>
#include <vector>

#include "kernels/error.h"

#define EXPECT_ERROR(statement, ...)                                                                     \
  try {                                                                                                  \
    static_cast<void>(statement);                                                                        \
    ADD_FAILURE() << "no Error from " #statement;                                                        \
  } catch (const holt::Error& e) {                                                                       \
    for (const std::string& part : std::vector<std::string>{__VA_ARGS__})                                \
      EXPECT_NE(std::string(e.what()).find(part), std::string::npos) << part << ": not in " << e.what(); \
  } catch (const std::exception& e) { ADD_FAILURE() << "not a holt::Error: " << e.what(); }              \
  static_assert(true, "takes the semicolon")

namespace holt {

// The message, without file and line, of the Error that f throws; "no error" if it throws none.
template <std::invocable F>
std::string error_of(F&& f) {
  try {
    f();
  } catch (const Error& e) { return e.message(); }
  return "no error";
}

// The same with file and line.
template <std::invocable F>
std::string text_of(F&& f) {
  try {
    f();
  } catch (const Error& e) { return e.what(); }
  return "no error";
}

}  // namespace holt
