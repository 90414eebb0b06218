#include "kernels/simt/source_lines.h"

#if defined(HOLT_COUNTERS)
#include <link.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>

#include "kernels/error.h"

namespace holt::simt {
namespace {

// Where the program was loaded, relative to the addresses in its file.
uintptr_t load_offset() {
  uintptr_t offset = 0;
  dl_iterate_phdr(
      [](dl_phdr_info* first, size_t, void* result) {
        *static_cast<uintptr_t*>(result) = first->dlpi_addr;
        return 1;
      },
      &offset);
  return offset;
}

bool is_dialect(const char* path) {
  for (const char* part : {"kernels/simt/", "kernels/gpu.cuh", "kernels/vectors.cuh", "/include/"})
    if (std::strstr(path, part)) return true;
  return false;
}

// "/a/b/c.cu:12 (discriminator 3)"
SourceLine parse(const char* text) {
  const char* name = std::strrchr(text, '/');
  name = name ? name + 1 : text;
  const char* colon = std::strchr(name, ':');
  if (!colon) return {};
  return {std::string(name, colon), std::atoi(colon + 1)};
}

}  // namespace

std::unordered_map<uintptr_t, SourceLine> source_lines(const std::vector<uintptr_t>& return_addresses) {
  // Reading the debug information takes a tenth of a second: what was asked once is remembered.
  static std::mutex mutex;
  static std::unordered_map<uintptr_t, SourceLine> lines;
  const std::lock_guard lock(mutex);
  std::vector<uintptr_t> wanted;
  for (const uintptr_t a : return_addresses)
    if (!lines.contains(a)) wanted.push_back(a);
  std::sort(wanted.begin(), wanted.end());
  wanted.erase(std::unique(wanted.begin(), wanted.end()), wanted.end());
  const uintptr_t offset = load_offset();
  constexpr size_t kAtOnce = 1000;  // a command line's worth
  for (size_t first = 0; first < wanted.size(); first += kAtOnce) {
    std::string command = format("addr2line -a -i -e /proc/{}/exe", getpid());
    const size_t last = std::min(first + kAtOnce, wanted.size());
    for (size_t i = first; i < last; ++i) {
      lines[wanted[i]];
      command += format(" {:x}", wanted[i] - offset - 1);  // −1: within the call, not after it
    }
    const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen((command + " 2> /dev/null").c_str(), "r"), pclose);
    check(pipe != nullptr, "counters: cannot start addr2line");
    char text[4096];
    size_t i = first;  // the answer to wanted[i − 1] follows
    bool found = false;
    while (std::fgets(text, sizeof text, pipe.get())) {
      if (text[0] == '0' && text[1] == 'x') {
        ++i;
        found = false;
      } else if (!found && i > first && i <= last) {
        lines[wanted[i - 1]] = parse(text);  // the outermost stays if all are the dialect's
        found = !is_dialect(text);
      }
    }
  }
  return lines;
}

}  // namespace holt::simt
#endif
