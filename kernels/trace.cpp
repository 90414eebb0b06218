#include "kernels/trace.h"

#if defined(HOLT_HAS_CUDA)
#include <nvtx3/nvToolsExt.h>

#include <cstdlib>
#include <string>
#include <string_view>
#endif

namespace holt {

#if defined(HOLT_HAS_CUDA)

namespace {

bool tracing() {
  static const bool on = [] {
    const char* env = std::getenv("HOLT_NVTX");
    return env && std::string_view(env) == "1";
  }();
  return on;
}

}  // namespace

TraceRange::TraceRange(const char* name, const char* prefix) : on_(tracing()) {
  if (!on_) return;
  if (prefix)
    nvtxRangePushA((std::string(prefix) + name).c_str());
  else
    nvtxRangePushA(name);
}
TraceRange::~TraceRange() {
  if (on_) nvtxRangePop();
}

#else

TraceRange::TraceRange(const char*, const char*) : on_(false) {}
TraceRange::~TraceRange() { static_cast<void>(on_); }

#endif

}  // namespace holt
