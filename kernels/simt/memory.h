// Device memory of the emulated GPU: 64-byte aligned, filled with NaN (all bits set), and guarded at both ends.
//
// Under AddressSanitizer a touch of a guard, or of freed memory, is reported at once. Without it, the guards' pattern
// is checked when the memory is freed: what was overrun is then told on stderr and counted.
#pragma once
#include <cstddef>
#include <string_view>

namespace holt::simt {

/// Null if the system has no such memory. Never null for 0 bytes.
void* allocate(size_t bytes) noexcept;
/// `bytes` as given to allocate(). Null is ignored.
void deallocate(void*, size_t bytes) noexcept;

/// How many allocations were found overrun so far. Always 0 under AddressSanitizer, which ends the program.
size_t guard_violations();

/// Throws Error if the guards around p (from allocate) are not intact; `who` begins the message.
void check_guards(std::string_view who, const void* p, size_t bytes);

}  // namespace holt::simt
