// Numbers for names and keys.
#pragma once
#include <array>
#include <cstddef>
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

/// Of a key made of integers, for hash tables.
struct IntegersHash {
  template <size_t N>
  size_t operator()(const std::array<int64_t, N>& key) const {
    uint64_t h = 0xcbf29ce484222325u;
    for (int64_t x : key) h = (h ^ static_cast<uint64_t>(x)) * 0x9E3779B97F4A7C15u, h ^= h >> 29;
    return h;
  }
};

}  // namespace holt
