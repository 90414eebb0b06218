// One element's optimiser step, the same code on every device.
#pragma once
#include <cmath>
#include <cstring>
#include <type_traits>

#include "kernels/optimizer.h"

namespace holt::detail {

/// Without momentum the state is neither read nor written.
template <bool Momentum>
struct SgdRule {
  static constexpr int states = Momentum ? 1 : 0;
  float lr, momentum, weight_decay, nesterov;  // nesterov: 0 or 1

  explicit SgdRule(const Sgd& o)
      : lr(static_cast<float>(o.lr)),
        momentum(static_cast<float>(o.momentum)),
        weight_decay(static_cast<float>(o.weight_decay)),
        nesterov(o.nesterov ? 1 : 0) {}
  HOLT_HD void adjust(const StepControl& c) { lr *= c.lr_factor; }
  HOLT_HD void operator()(float& p, float g, float& b, float&) const {
    g += weight_decay * p;
    if constexpr (Momentum) {
      b = momentum * b + g;
      g = nesterov != 0 ? g + momentum * b : b;
    }
    p -= lr * g;
  }
};

struct AdamWRule {
  static constexpr int states = 2;
  float keep, beta1, beta2, rest1, rest2, step, inverse_root, eps;
  float lr, decay, t, log1, log2;  // for adjust()

  // In double: 1 − β2 and 1 − β2^t lose all digits in float when β2 is near 1.
  explicit AdamWRule(const AdamW& o)
      : keep(static_cast<float>(1 - o.lr * o.weight_decay)),
        beta1(static_cast<float>(o.beta1)),
        beta2(static_cast<float>(o.beta2)),
        rest1(static_cast<float>(1 - o.beta1)),
        rest2(static_cast<float>(1 - o.beta2)),
        step(static_cast<float>(o.lr / (1 - std::pow(o.beta1, static_cast<double>(o.step))))),
        inverse_root(static_cast<float>(1 / std::sqrt(1 - std::pow(o.beta2, static_cast<double>(o.step))))),
        eps(static_cast<float>(o.eps)),
        lr(static_cast<float>(o.lr)),
        decay(static_cast<float>(o.lr * o.weight_decay)),
        t(static_cast<float>(o.step)),
        log1(static_cast<float>(std::log(o.beta1))),
        log2(static_cast<float>(std::log(o.beta2))) {}
  // On the device, in float: 1 − β^t is −expm1(t·ln β), which loses no digits.
  HOLT_HD void adjust(const StepControl& c) {
    if (c.lr_factor != 1) {
      step *= c.lr_factor;
      keep = 1 - decay * c.lr_factor;
    }
    if (c.step_offset != 0) {
      const float now = t + static_cast<float>(c.step_offset);
      step = lr * c.lr_factor / -expm1f(now * log1);
      inverse_root = 1 / sqrtf(-expm1f(now * log2));
    }
  }
  HOLT_HD void operator()(float& p, float g, float& m, float& v) const {
    m = beta1 * m + rest1 * g;
    v = beta2 * v + rest2 * g * g;
    p = keep * p - step * m / (sqrtf(v) * inverse_root + eps);
  }
};

/// The rule that these numbers are of, or `otherwise` if there are none.
template <class Rule>
HOLT_HD Rule live_rule(const StepNumbers* numbers, const Rule& otherwise) {
  static_assert(sizeof(Rule) <= sizeof(StepNumbers) && std::is_trivially_copyable_v<Rule>);
  Rule r = otherwise;
  if (numbers) memcpy(static_cast<void*>(&r), numbers, sizeof r);
  return r;
}

/// The contract's grad_norm, once Σ grad² is known.
HOLT_HD inline void finish_norm(double squares, const GradNorm& p, LossScale* loss_scale, StepControl* control) {
  const double unscale = loss_scale ? 1.0 / static_cast<double>(loss_scale->scale) : 1.0;
  const double norm = unscale * sqrt(squares), clip = p.max_norm / (norm + 1e-6);
  control->norm = static_cast<float>(norm);
  control->scale = static_cast<float>(unscale * (clip < 1 ? clip : 1.0));
  control->skip = 0;
  if (!loss_scale) return;
  LossScale& s = *loss_scale;
  if (!(norm <= 1.7976931348623157e308)) {  // infinity, NaN
    control->skip = 1;
    --control->step_offset;
    ++s.skipped;
    s.good = 0;
    const double less = static_cast<double>(s.scale) * p.backoff;
    if (less >= 0x1p-24) s.scale = static_cast<float>(less);
  } else if (++s.good >= p.interval) {
    s.good = 0;
    const double more = static_cast<double>(s.scale) * p.growth;
    if (more <= 0x1p24) s.scale = static_cast<float>(more);
  }
}

/// Chunks of a slot.
HOLT_HD inline int64_t chunks_of(int64_t size) { return (size + kOptimizerChunk - 1) / kOptimizerChunk; }

}  // namespace holt::detail
