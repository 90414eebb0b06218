// Where in the sources a machine instruction comes from.
#pragma once
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

namespace holt::simt {

struct SourceLine {
  std::string file = "?";  ///< without its folder
  int line = 0;
};

/// For return addresses within this program: the innermost line, inlined calls followed outwards, that is a kernel's
/// own and not the dialect's (gpu.cuh, vectors.cuh, kernels/simt). Asks addr2line; without it, or without debug
/// information, lines are "?".
std::unordered_map<uintptr_t, SourceLine> source_lines(const std::vector<uintptr_t>& return_addresses);

}  // namespace holt::simt
