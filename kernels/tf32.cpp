#include "kernels/tf32.h"

#include <atomic>
#include <cstdlib>
#include <string_view>

#include "kernels/error.h"

namespace holt {
namespace {

std::atomic<bool>& allowed() {
  static std::atomic<bool> value = [] {
    const char* env = std::getenv("HOLT_TF32");
    const std::string_view text = env ? env : "";
    check(text.empty() || text == "0" || text == "1",
          "HOLT_TF32: expected 0 (f32 is f32) or 1 (f32 may be TF32), got '{}'", text);
    return text == "1";
  }();
  return value;
}

}  // namespace

bool tf32_allowed() { return allowed().load(std::memory_order_relaxed); }
void allow_tf32(bool allow) { allowed().store(allow, std::memory_order_relaxed); }

}  // namespace holt
