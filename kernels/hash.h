// A name's number.
#pragma once
#include <cstdint>
#include <string_view>

namespace holt {

/// FNV-1a, 64 bits: the same on every machine and in every version. Tells apart names in seeds and cache keys; no
/// protection against those who look for collisions.
constexpr uint64_t fnv1a(std::string_view text) {
  uint64_t h = 0xcbf29ce484222325;
  for (const char c : text) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return h;
}

}  // namespace holt
