// Errors of the emulated GPU, as the tests read them.
#pragma once
#include <gtest/gtest.h>

#include <string>

#include "tests/harness/expect_error.h"

namespace holt {

/// That what text_of() gave has all of these parts, which also says that there was an Error.
template <class... Parts>
testing::AssertionResult has_parts(const std::string& message, const Parts&... parts) {
  if (message == kNoError) return testing::AssertionFailure() << "no holt::Error was thrown";
  for (const std::string& part : {std::string(parts)...})
    if (message.find(part) == std::string::npos)
      return testing::AssertionFailure() << "no \"" << part << "\" in: " << message;
  return testing::AssertionSuccess();
}

#define EXPECT_THAT_ERROR(...) EXPECT_TRUE(::holt::has_parts(__VA_ARGS__))

}  // namespace holt
