// EXPECT_ERROR(statement, "part of the text"): exactly a holt::Error, whose text contains the part.
#pragma once
#include <gtest/gtest.h>

#include <string>

#include "kernels/error.h"

#define EXPECT_ERROR(statement, part)                                                              \
  try {                                                                                            \
    static_cast<void>(statement);                                                                  \
    ADD_FAILURE() << "no Error from " #statement;                                                  \
  } catch (const holt::Error& e) {                                                                 \
    EXPECT_NE(std::string(e.what()).find(part), std::string::npos) << "the text is: " << e.what(); \
  } catch (const std::exception& e) { ADD_FAILURE() << "not a holt::Error: " << e.what(); }        \
  static_assert(true, "takes the semicolon")
