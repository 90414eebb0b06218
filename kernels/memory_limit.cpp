#include "kernels/memory_limit.h"

#include <charconv>
#include <cstdlib>
#include <limits>
#include <string_view>

namespace holt {

size_t detail::memory_limit() {
  static const size_t limit = [] {
    const char* env = std::getenv("HOLT_MEMORY_LIMIT");
    if (!env || !*env) return std::numeric_limits<size_t>::max();
    const std::string_view text = env;
    size_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    const std::string_view suffix = text.substr(static_cast<size_t>(end - text.data()));
    const int shift = suffix.empty() ? 0 : suffix == "K" ? 10 : suffix == "M" ? 20 : suffix == "G" ? 30 : -1;
    check(error == std::errc{} && shift >= 0 && value <= std::numeric_limits<size_t>::max() >> shift,
          "HOLT_MEMORY_LIMIT: expected a number of bytes, with K, M or G if wanted (example: 512M), got '{}'", text);
    return value << shift;
  }();
  return limit;
}

std::string detail::format_bytes(size_t bytes) {
  constexpr const char* units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  if (bytes < 1024) return holt::format("{} bytes", bytes);
  double value = static_cast<double>(bytes) / 1024;
  int unit = 0;
  for (; value >= 1024 && unit < 5; ++unit) value /= 1024;
  return holt::format("{:.2f} {}", value, units[unit]);
}

void detail::fail_out_of_memory(Device d, size_t request, const MemoryStats& s, const std::string& why,
                                std::source_location where) {
  throw Error(holt::format("out of memory on {}: asked for {} ({} bytes) with {} in use and {} cached; {}", d,
                           format_bytes(request), request, format_bytes(s.current), format_bytes(s.cached), why),
              where);
}

}  // namespace holt
