// The beginning of a file of the MNIST family, for tests that make their own.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace holt::test {

/// Of elements of that type (8: bytes) in that many dimensions, big-endian.
inline std::string idx_header(const std::vector<int64_t>& sizes, uint8_t type = 8) {
  std::string out{0, 0, static_cast<char>(type), static_cast<char>(sizes.size())};
  for (const int64_t s : sizes)
    for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(s >> shift & 255);
  return out;
}

}  // namespace holt::test
