// Loss scaling for f16 (Micikevicius et al. 2018, §3.2): gradients below 2^-24 would be 0 in f16, so the loss is
// multiplied by S before the backward, and the step divides by S what it reads.
//
//   sgd.use(GradScaler(device));
//   sgd.scaled(loss).backward();
//   sgd.step(factor, {.max_norm = 1});
//
// S adapts: a gradient that is infinite or NaN means that S was too large. Then that step changes nothing, weights,
// momenta and step count alike, and S is halved; after 2000 steps without one it is doubled. All of it happens on the
// device, in the launches of the step itself: one flag for all parameters, and the host never waits. bf16 has the
// range of f32 and needs none of this.
#pragma once
#include "nn/module.h"

namespace holt {
struct GradNorm;  // kernels/optimizer.h
struct LossScale;
}  // namespace holt

namespace holt::nn {

struct GradScalerOptions {
  double scale = 65536;              ///< S at the start, 2^-24 … 2^24; powers of two round nothing
  double growth = 2, backoff = 0.5;  ///< S·growth after `interval` good steps in a row, S·backoff after an overflow
  int64_t interval = 2000;
};

class GradScaler {
 public:
  explicit GradScaler(Device device = {}, GradScalerOptions options = {});

  /// loss·S, differentiable. The loss is f32, on the scaler's device.
  Tensor scale(const Tensor& loss) const;

  Device device() const { return state_.device(); }
  double current() const;   ///< S; waits for the device
  int64_t skipped() const;  ///< steps that overflowed; waits for the device

  /// What a resumed run needs: "scale" f32, "good" and "skipped" i64, all scalars, copied.
  State state() const;
  /// Error for missing, unexpected or impossible values; then the scaler is as before.
  void load_state(const State& state);

  /// For Optimizer::step: adds growth, backoff and interval; returns S and its history on the device, which the launch
  /// brings up to date.
  LossScale* begin_step(GradNorm& norm);

 private:
  GradScalerOptions options_;
  Tensor state_;  // a LossScale as f32 [3], of which the first is S
};

}  // namespace holt::nn
