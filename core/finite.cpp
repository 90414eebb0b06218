#include "core/finite.h"

#include <atomic>
#include <cmath>

#include "kernels/environment.h"

namespace holt {
namespace {

std::atomic<bool>& flag() {
  static std::atomic<bool> on = environment_switch("HOLT_CHECK_FINITE", "HOLT_CHECK_FINITE must be 0 or 1, got '{}'");
  return on;
}

}  // namespace

int64_t first_nonfinite(const Tensor& t) {
  if (!is_float(t.dtype())) return -1;
  const std::vector<double> values = t.to_vector<double>();
  for (size_t i = 0; i < values.size(); ++i)
    if (!std::isfinite(values[i])) return static_cast<int64_t>(i);
  return -1;
}

bool check_finite() { return flag().load(std::memory_order_relaxed); }
void set_check_finite(bool on) { flag() = on; }

}  // namespace holt
