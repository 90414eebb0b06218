// The beginning of a file of the MNIST family, for tests that make their own.
#pragma once
#include <string>
#include <vector>

namespace holt::test {

/// Of bytes in that many dimensions, big-endian.
inline std::string idx_header(const std::vector<int>& sizes) {
  std::string out{0, 0, 8, static_cast<char>(sizes.size())};
  for (const int s : sizes)
    for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(s >> shift & 255);
  return out;
}

}  // namespace holt::test
