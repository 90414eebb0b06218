#include "kernels/tf32.h"

#include <atomic>

#include "kernels/environment.h"

namespace holt {
namespace {

std::atomic<bool>& allowed() {
  static std::atomic<bool> value =
      environment_switch("HOLT_TF32", "HOLT_TF32: expected 0 (f32 is f32) or 1 (f32 may be TF32), got '{}'");
  return value;
}

}  // namespace

bool tf32_allowed() { return allowed().load(std::memory_order_relaxed); }
void allow_tf32(bool allow) { allowed().store(allow, std::memory_order_relaxed); }

}  // namespace holt
