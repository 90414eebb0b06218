// How weights start. Every function draws a new f32 tensor from the generator on the cpu: the same on every device and
// in every thread.
//
// Weights are [out, in] or [out, KH, KW, in]:   fan_in = numel / out   fan_out = out·KH·KW
#pragma once
#include "core/random.h"
#include "core/tensor.h"

namespace holt::nn::init {

enum class Fan { in, out };

inline constexpr double kReluGain = 1.4142135623730951;  ///< √2: half of the inputs of the next layer are zero

int64_t fan_in(const Shape& weight);
int64_t fan_out(const Shape& weight);

/// Normal with std = gain / √fan (He et al. 2015, eq. 10 and 14).
Tensor kaiming_normal(const Shape&, Generator&, Fan = Fan::in, double gain = kReluGain);
/// Uniform in ±gain·√(3 / fan): the same variance.
Tensor kaiming_uniform(const Shape&, Generator&, Fan = Fan::in, double gain = kReluGain);
/// Normal with std = gain·√(2 / (fan_in + fan_out)) (Glorot & Bengio 2010, eq. 12).
Tensor xavier_normal(const Shape&, Generator&, double gain = 1);
/// Uniform in ±gain·√(6 / (fan_in + fan_out)) (eq. 16).
Tensor xavier_uniform(const Shape&, Generator&, double gain = 1);
/// Normal, redrawn outside [low, high] (by inversion: one draw an element). `std` is that of the whole normal.
Tensor truncated_normal(const Shape&, Generator&, double mean = 0, double std = 1, double low = -2, double high = 2);
Tensor constant(const Shape&, double value);

/// What torch.nn.Linear and torch.nn.Conv2d start from: weight and bias uniform in ±1/√fan_in, the weight's.
Tensor torch_weight(const Shape&, Generator&);
Tensor torch_bias(const Shape& weight, Generator&);  ///< [out]

/// Zeros, for whoever draws otherwise: the generator goes on as if this had been drawn.
Tensor undrawn(const Shape&, Generator&);

/// The tensor, marked as to be trained.
inline Tensor parameter(Tensor t) {
  t.requires_grad_();
  return t;
}

}  // namespace holt::nn::init
