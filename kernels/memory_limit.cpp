#include "kernels/memory_limit.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <string_view>

namespace holt {
namespace {

constexpr size_t kUnlimited = std::numeric_limits<size_t>::max();

size_t parse_limit(std::string_view text) {
  size_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const std::string_view suffix = text.substr(static_cast<size_t>(end - text.data()));
  const int shift = suffix.empty() ? 0 : suffix == "K" ? 10 : suffix == "M" ? 20 : suffix == "G" ? 30 : -1;
  check(error == std::errc{} && shift >= 0 && value <= kUnlimited >> shift,
        "HOLT_MEMORY_LIMIT: expected a number of bytes, with K, M or G if wanted (example: 512M), got '{}'", text);
  return value << shift;
}

size_t machine_memory() {
  size_t bytes = static_cast<size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<size_t>(sysconf(_SC_PAGESIZE));
  size_t container = 0;
  if (std::ifstream("/sys/fs/cgroup/memory.max") >> container)
    bytes = std::min(bytes, container);  // "max" is no number
  return bytes;
}

std::atomic<size_t>& largest_request(Device d) {
  static std::array<std::atomic<size_t>, 3> largest{};
  return largest[d.kind];
}

}  // namespace

const detail::MemoryLimit& detail::memory_limit(Device d) {
  static const char* const env = std::getenv("HOLT_MEMORY_LIMIT");
  static const size_t asked = env && *env ? parse_limit(env) : kUnlimited, machine = machine_memory();
  static const MemoryLimit by_user{asked, "HOLT_MEMORY_LIMIT is " + format_bytes(asked)};
  static const MemoryLimit by_machine{machine, "this machine has " + format_bytes(machine)};
  return d.kind == Device::cuda || asked < machine ? by_user : by_machine;
}

std::string detail::format_bytes(size_t bytes) {
  constexpr const char* units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  if (bytes < 1024) return holt::format("{} bytes", bytes);
  double value = static_cast<double>(bytes) / 1024;
  int unit = 0;
  for (; value >= 1024 && unit < 5; ++unit) value /= 1024;
  return holt::format("{:.2f} {}", value, units[unit]);
}

void detail::note_request(Device d, size_t bytes) {
  std::atomic<size_t>& largest = largest_request(d);
  for (size_t seen = largest; seen < bytes && !largest.compare_exchange_weak(seen, bytes);) {}
}

void detail::fail_out_of_memory(Device d, size_t request, const MemoryStats& s, const std::string& why,
                                std::source_location where) {
  throw Error(
      holt::format("out of memory on {}: asked for {} ({} bytes) with {} in use and {} cached (peak {}, largest "
                   "request so far {}); {}",
                   d, format_bytes(request), request, format_bytes(s.current), format_bytes(s.cached),
                   format_bytes(s.peak), format_bytes(largest_request(d)), why),
      where);
}

}  // namespace holt
