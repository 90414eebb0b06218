// Optimiser steps over all parameters of a network in one launch, and the norm of all gradients.
//
//   SGD (PyTorch's order)         g ← s·grad + wd·p;   b ← μ·b + g;   p ← p − lr·(nesterov ? g + μ·b : b)
//   AdamW (Loshchilov & Hutter    g ← s·grad;   p ← (1 − lr·wd)·p;   m ← β1·m + (1 − β1)·g;   v ← β2·v + (1 − β2)·g²
//   2019, PyTorch's order)        p ← p − lr·m̂ / (√v̂ + eps),   m̂ = m / (1 − β1^t),   v̂ = v / (1 − β2^t)
//   norm                          N = u·√(Σ grad²) over everything;   s = u·min(1, max_norm / (N + 1e-6))
//   loss scale S of f16           u = 1/S. Is N not finite, some gradient overflowed: the step is skipped and S halved
//                                 (backoff); after `interval` good steps in a row S doubles (growth).
//
// What is known on the device only, or changes between the replays of a captured launch, is read from there
// (StepControl): clipping and loss scaling cost one pass over the gradients, no pass to unscale them and no wait of the
// host. The state starts as zeros: PyTorch's first step (b = g) is then the same.
//
// A network has hundreds of parameters, most of them small: one launch for each would cost more than the work. The
// slots go to the device as a table; each block takes one chunk of kOptimizerChunk elements and finds its slot by
// bisection.
//
// Bytes an element: SGD 12 + 8 with momentum, AdamW 28, norm 4 (f32 gradients). Memory-bound.
// Numerics: parameters and state are f32; gradients may be bf16 or f16. The norm adds squares in float within a chunk
// and in double between chunks, in a fixed order: the same bits every time, whatever the number of threads.
#pragma once
#include <limits>
#include <span>

#include "kernels/device.h"
#include "kernels/rungs.h"

namespace holt {

inline constexpr int64_t kOptimizerChunk = 8192;

/// One parameter: its elements, gradient and state, all [size] and on one device.
template <class G>
struct OptimizerSlot {
  float* param;
  const G* grad;
  float* state[2];  ///< SGD: {b, unused}, b null without momentum; AdamW: {m, v}
  int64_t size;
};

/// What a launch reads from device memory. Begin with StepControl{}, which changes nothing; grad_norm writes norm,
/// scale and skip, and takes a skipped step off step_offset.
struct StepControl {
  float norm = 0;           ///< N
  float scale = 1;          ///< s
  float lr_factor = 1;      ///< lr is multiplied by it
  int32_t step_offset = 0;  ///< added to AdamW's t
  int32_t skip = 0;         ///< not 0: the step writes nothing
};

/// S and its history, on the device. Stays within 2^±24: a power of two stays one, and scaling rounds nothing.
struct LossScale {
  float scale;
  int32_t good;     ///< steps without an overflow since S last changed
  int32_t skipped;  ///< steps with one, altogether
};

struct GradNorm {
  double max_norm = std::numeric_limits<double>::infinity();  ///< infinity: no clipping
  double growth = 2, backoff = 0.5;                           ///< of S
  int32_t interval = 2000;
};

/// The numbers that a launch takes from Sgd or AdamW, as the device's code wants them.
struct StepNumbers {
  float values[16];
};

struct Sgd {
  double lr, momentum = 0, weight_decay = 0;
  bool nesterov = false;
  const StepNumbers* live = nullptr;  ///< where the device finds the numbers instead: what a graph replays
};

struct AdamW {
  double lr, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0.01;
  int64_t step;                       ///< t: 1 at the first step
  const StepNumbers* live = nullptr;  ///< as Sgd's
};

StepNumbers numbers_of(const Sgd&);
StepNumbers numbers_of(const AdamW&);

inline constexpr Rungs<2> sgd_step_rungs{"sgd_step", {"naive", "table"}};
inline constexpr Rungs<2> adamw_step_rungs{"adamw_step", {"naive", "table"}};
inline constexpr Rungs<2> grad_norm_rungs{"grad_norm", {"naive", "table"}};

/// param, state[0] ← one step. `control` is on the device; null is StepControl{}. G: float, bf16, f16.
/// B: Cpu, Cuda, Simt.
template <class B, class G>
void sgd_step(B, const Sgd&, std::span<const OptimizerSlot<G>>, const StepControl* control);

/// param, state[0], state[1] ← one step.
template <class B, class G>
void adamw_step(B, const AdamW&, std::span<const OptimizerSlot<G>>, const StepControl* control);

/// control ← N, s, whether to skip. Reads grad and size only. loss_scale is brought up to date; null: u is 1, and
/// nothing is ever skipped. Both are on the device.
template <class B, class G>
void grad_norm(B, const GradNorm&, std::span<const OptimizerSlot<G>>, LossScale* loss_scale, StepControl* control);

}  // namespace holt
