// The most memory that the process ever held, as the kernel counts it.
#pragma once
#include <cstdint>
#include <fstream>
#include <string>

namespace holt::app {

/// Begins the count anew. Returns whether the system allows that (Linux does, for oneself).
inline bool reset_peak_rss() {
  std::ofstream out("/proc/self/clear_refs");
  out << "5" << std::flush;
  return out.good();
}

/// Largest resident set in bytes, since the start or reset_peak_rss(); 0 where it is unknown.
inline int64_t peak_rss() {
  std::ifstream in("/proc/self/status");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with("VmHWM:")) return std::stoll(line.substr(6)) * 1024;
  return 0;
}

}  // namespace holt::app
