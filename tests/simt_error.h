// Errors of the emulated GPU, as the tests read them.
#pragma once
#include <gtest/gtest.h>

#include <string>

#include "kernels/error.h"

namespace holt {

/// The text of the holt::Error that f throws; "" if it throws none.
template <class F>
std::string error_of(F&& f) {
  try {
    f();
  } catch (const Error& e) { return e.what(); }
  return "";
}

/// That a message has all of these parts, which also says that there is a message.
template <class... Parts>
testing::AssertionResult has_parts(const std::string& message, const Parts&... parts) {
  if (message.empty()) return testing::AssertionFailure() << "no holt::Error was thrown";
  for (const std::string& part : {std::string(parts)...})
    if (message.find(part) == std::string::npos)
      return testing::AssertionFailure() << "no \"" << part << "\" in: " << message;
  return testing::AssertionSuccess();
}

#define EXPECT_THAT_ERROR(...) EXPECT_TRUE(::holt::has_parts(__VA_ARGS__))

}  // namespace holt
