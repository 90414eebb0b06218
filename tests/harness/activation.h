// The activations and their derivatives from the definition, in double.
#pragma once
#include <cmath>

#include "kernels/activation.h"

namespace holt::test {

inline double true_sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
inline double true_swish_slope(double beta, double x) {
  const double s = true_sigmoid(beta * x);
  return s + beta * x * s * true_sigmoid(-beta * x);
}

inline double true_activation(Activation a, double x) {
  switch (a) {
    case Activation::relu:
      return x > 0 ? x : 0;
    case Activation::gelu:
      return x * 0.5 * std::erfc(-x / std::sqrt(2.0));
    case Activation::gelu_tanh:
      return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case Activation::silu:
      return x * true_sigmoid(x);
    case Activation::quick_gelu:
      return x * true_sigmoid(1.702 * x);
    default:
      return x;
  }
}

inline double true_activation_slope(Activation a, double x) {
  const double u = std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x), sech = 1 / std::cosh(u);
  switch (a) {
    case Activation::relu:
      return x > 0;
    case Activation::gelu:
      return 0.5 * std::erfc(-x / std::sqrt(2.0)) + x * std::exp(-0.5 * x * x) / std::sqrt(2 * M_PI);
    case Activation::gelu_tanh:
      return 0.5 * (1 + std::tanh(u)) + 0.5 * x * sech * sech * std::sqrt(2 / M_PI) * (1 + 3 * 0.044715 * x * x);
    case Activation::silu:
      return true_swish_slope(1, x);
    case Activation::quick_gelu:
      return true_swish_slope(1.702, x);
    default:
      return 1;
  }
}

}  // namespace holt::test
