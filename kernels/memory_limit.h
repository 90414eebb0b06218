// How much memory a device may hold, and the error for when it does not suffice: shared by the three allocators.
#pragma once
#include <cstddef>
#include <source_location>
#include <string>

#include "kernels/memory.h"

namespace holt::detail {

struct MemoryLimit {
  size_t bytes;
  std::string reason;  ///< "HOLT_MEMORY_LIMIT is 512.00 MiB", "this machine has 15.53 GiB"
};
/// The most bytes that a device may hold, in use or cached: HOLT_MEMORY_LIMIT ("512M", "2G") where it is set. Else cpu
/// and simt may take what the machine (or this process's container) has: Linux promises more than that, and kills who
/// believes it. For cuda the driver knows.
const MemoryLimit& memory_limit(Device);
/// 1536 → "1.50 KiB".
std::string format_bytes(size_t bytes);
/// Remembers the largest request of a kind of device.
void note_request(Device, size_t bytes);
/// Throws: the request, what is in use and cached, the peak, the largest request before. `why` says what refused: the
/// system, the limit, the driver.
[[noreturn]] void fail_out_of_memory(Device, size_t request, const MemoryStats&, const std::string& why,
                                     std::source_location where = std::source_location::current());

}  // namespace holt::detail
