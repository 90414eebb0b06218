#include "kernels/simt/race.h"

#if defined(HOLT_RACE)
#include <cstring>
#include <string>
#include <vector>

#include "kernels/simt/scheduler.h"

extern "C" {
// libtsan's interface for tools (LLVM's tsan_interface.h), of which GCC installs no header.
int __tsan_get_report_data(void* report, const char** description, int* count, int* stacks, int* accesses,
                           int* locations, int* mutexes, int* threads, int* unique_threads, void** sleep_trace,
                           unsigned long trace_size);
int __tsan_get_report_mop(void* report, unsigned long index, int* thread, void** address, int* size, int* write,
                          int* atomic, void** trace, unsigned long trace_size);
void __sanitizer_symbolize_pc(void* pc, const char* format, char* out, unsigned long out_size);

// Every race counts, also one that was found before; what it costs is decided by the error, not by the exit code.
const char* __tsan_default_options() {
  return "suppress_equal_stacks=0:suppress_equal_addresses=0:exitcode=0:history_size=4:report_thread_leaks=0";
}
void __tsan_on_report(void* report);
}

namespace holt::simt {
namespace {

struct Access {
  int write, size;
  void* trace[32];
};
struct Race {
  Access now, before;
  char where[160];  // block and thread of the later access
};

// Filled from inside libtsan, where allocating is not safe.
constexpr size_t kMostRaces = 32;
Race races[kMostRaces];
size_t race_count = 0;

// "file:line" of the kernel's own code: the innermost frame that is neither the emulator's nor the dialect's.
std::string line_of(const Access& a) {
  std::string innermost;
  for (void* pc : a.trace) {
    if (!pc) break;
    char text[1024];
    __sanitizer_symbolize_pc(pc, "%s:%l", text, sizeof text);
    if (std::strstr(text, "<null>")) continue;  // no debug information
    const char* name = std::strrchr(text, '/') ? std::strrchr(text, '/') + 1 : text;
    if (innermost.empty()) innermost = name;
    if (!std::strstr(text, "kernels/simt/") && !std::strstr(text, "gpu.cuh") && !std::strstr(text, "/include/"))
      return name;
  }
  return innermost.empty() ? "a line that ThreadSanitizer has forgotten" : innermost;
}

std::string describe(const Access& a) {
  return format("{} of {} bytes at {}", a.write ? "write" : "read", a.size, line_of(a));
}

}  // namespace

void forget_races() { race_count = 0; }

bool enough_races() { return race_count >= 8; }

void check_races(std::string_view kernel) {
  if (race_count == 0) return;
  std::vector<std::string> told;
  std::string text;
  for (size_t i = 0; i < race_count; ++i) {
    const std::string lines = format("{} and {}", describe(races[i].now), describe(races[i].before));
    bool known = false;
    for (const std::string& t : told) known |= t == lines;
    if (known) continue;
    told.push_back(lines);
    text += format("{}{}, by {}", text.empty() ? "" : "; ", lines, races[i].where);
  }
  fail("simt: kernel '{}' has a data race: no barrier orders a {}", kernel, text);
}

}  // namespace holt::simt

void __tsan_on_report(void* report) {
  using namespace holt::simt;
  if (race_count == kMostRaces) return;
  Race& r = races[race_count++];
  r = {};
  void* address = nullptr;
  int thread = 0, atomic = 0;
  Access* const sides[2] = {&r.now, &r.before};
  for (unsigned long i = 0; i < 2; ++i)
    __tsan_get_report_mop(report, i, &thread, &address, &sides[i]->size, &sides[i]->write, &atomic, sides[i]->trace,
                          32);
  std::snprintf(r.where, sizeof r.where, "block (%u,%u,%u) thread (%u,%u,%u) and another", blockIdx.x, blockIdx.y,
                blockIdx.z, threadIdx.x, threadIdx.y, threadIdx.z);
}
#endif
