// Guard bytes around memory of the emulated GPU, for builds without AddressSanitizer.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace holt::simt {

/// What memory holds before it is written: all bits set is NaN in every floating type.
inline constexpr unsigned char kPoisonByte = 0xff;
inline constexpr size_t kGuardBytes = 256;

// Also a NaN when read as f16, bf16, f32 or f64, so that an overrun that only reads shows in the result.
inline constexpr unsigned char guard_byte(uintptr_t address) { return address % 2 ? 0xff : 0xf7; }

inline void write_guard(char* begin, char* end) {
  if (begin < end && reinterpret_cast<uintptr_t>(begin) % 2) *begin++ = static_cast<char>(0xff);
  const uint16_t pattern = 0xfff7;
  for (; end - begin >= 2; begin += 2) std::memcpy(begin, &pattern, 2);
  if (begin < end) *begin = static_cast<char>(0xf7);
}

/// The first byte of [begin, end) that is no longer as write_guard left it; null if all are.
inline const char* broken_guard(const char* begin, const char* end) {
  for (; begin < end && reinterpret_cast<uintptr_t>(begin) % 8; ++begin)
    if (static_cast<unsigned char>(*begin) != guard_byte(reinterpret_cast<uintptr_t>(begin))) return begin;
  for (uint64_t word; end - begin >= 8; begin += 8) {
    std::memcpy(&word, begin, 8);
    if (word != 0xfff7fff7fff7fff7u) break;
  }
  for (; begin < end; ++begin)
    if (static_cast<unsigned char>(*begin) != guard_byte(reinterpret_cast<uintptr_t>(begin))) return begin;
  return nullptr;
}

}  // namespace holt::simt
