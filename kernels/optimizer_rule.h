// One element's optimiser step, the same code on every device.
#pragma once
#include <cmath>

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

  // In double: 1 − β2 and 1 − β2^t lose all digits in float when β2 is near 1.
  explicit AdamWRule(const AdamW& o)
      : keep(static_cast<float>(1 - o.lr * o.weight_decay)),
        beta1(static_cast<float>(o.beta1)),
        beta2(static_cast<float>(o.beta2)),
        rest1(static_cast<float>(1 - o.beta1)),
        rest2(static_cast<float>(1 - o.beta2)),
        step(static_cast<float>(o.lr / (1 - std::pow(o.beta1, static_cast<double>(o.step))))),
        inverse_root(static_cast<float>(1 / std::sqrt(1 - std::pow(o.beta2, static_cast<double>(o.step))))),
        eps(static_cast<float>(o.eps)) {}
  HOLT_HD void operator()(float& p, float g, float& m, float& v) const {
    m = beta1 * m + rest1 * g;
    v = beta2 * v + rest2 * g * g;
    p = keep * p - step * m / (sqrtf(v) * inverse_root + eps);
  }
};

/// s of the contract from Σ grad²; beside it N.
HOLT_HD inline void finish_norm(double squares, double unscale, double max_norm, float* norm_and_scale) {
  const double norm = unscale * sqrt(squares), clip = max_norm / (norm + 1e-6);
  norm_and_scale[0] = static_cast<float>(norm);
  norm_and_scale[1] = static_cast<float>(unscale * (clip < 1 ? clip : 1.0));
}

/// Chunks of a slot.
HOLT_HD inline int64_t chunks_of(int64_t size) { return (size + kOptimizerChunk - 1) / kOptimizerChunk; }

}  // namespace holt::detail
