// The program `holt` of this build, as tests start it.
#pragma once
#include <string>
#include <vector>

#include "tests/harness/process.h"

namespace holt::test {

constexpr const char* kProgram = HOLT_BINARY_DIR "/holt";

using Arguments = std::vector<std::string>;

inline Arguments operator+(Arguments a, const Arguments& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

inline Result holt_run(const Arguments& arguments) { return Process(arguments, kProgram).finish(); }

}  // namespace holt::test
