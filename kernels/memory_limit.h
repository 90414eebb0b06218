// How much memory a device may hold, and the error for when it does not suffice: shared by the three allocators.
#pragma once
#include <cstddef>
#include <source_location>
#include <string>

#include "kernels/memory.h"

namespace holt::detail {

/// HOLT_MEMORY_LIMIT: the most bytes that a device may hold, in use or cached; "512M", "2G". Without it: no limit.
size_t memory_limit();
/// 1536 → "1.50 KiB".
std::string format_bytes(size_t bytes);
/// Throws. `why` says what refused: the system, the limit, the driver.
[[noreturn]] void fail_out_of_memory(Device, size_t request, const MemoryStats&, const std::string& why,
                                     std::source_location where = std::source_location::current());

}  // namespace holt::detail
