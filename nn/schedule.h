// Learning-rate schedules: pure functions of the step, so that there is nothing to save and a resumed run continues
// exactly.
//
// Each returns the factor on the base learning rate for step t = 0, 1, …, total − 1:
//
//   optimizer.step(schedule::cosine(t, {.total = epochs * steps, .warmup = 100}));
#pragma once
#include <cmath>
#include <cstdint>
#include <numbers>
#include <vector>

#include "kernels/error.h"

namespace holt::nn::schedule {

inline double constant(int64_t) { return 1; }

/// γ^(number of milestones ≤ t).
inline double step(int64_t t, const std::vector<int64_t>& milestones, double gamma = 0.1) {
  double factor = 1;
  for (int64_t m : milestones)
    if (t >= m) factor *= gamma;
  return factor;
}

struct Cosine {
  int64_t total;       ///< steps in all
  int64_t warmup = 0;  ///< of these, the first ones rise linearly
  double floor = 0;    ///< where the cosine ends, as a fraction of the base
};

/// Linear warm-up, (t + 1) / warmup, then floor + (1 − floor)·(1 + cos(π·p)) / 2 with p from 0 at t = warmup to
/// 1 at t = total (Loshchilov & Hutter 2017, eq. 5, without restarts). Beyond the last step it stays at the floor.
inline double cosine(int64_t t, const Cosine& c) {
  check(c.total > 0 && c.warmup >= 0 && c.warmup <= c.total,
        "cosine: total > 0 and 0 ≤ warmup ≤ total are needed, got total {} and warmup {}", c.total, c.warmup);
  if (t < c.warmup) return static_cast<double>(t + 1) / static_cast<double>(c.warmup);
  if (t >= c.total) return c.floor;
  const double p = static_cast<double>(t - c.warmup) / static_cast<double>(c.total - c.warmup);
  return c.floor + (1 - c.floor) * 0.5 * (1 + std::cos(std::numbers::pi * p));
}

}  // namespace holt::nn::schedule
