// The activations that a product can apply on its way out, and what its backward multiplies by.
//
//   relu        max(0, x)
//   gelu        x·Φ(x) = x/2·(1 + erf(x/√2))                                   (Hendrycks & Gimpel 2016)
//   gelu_tanh   x/2·(1 + tanh(u)), u = √(2/π)·(x + 0.044715·x³)
//   silu        x·σ(x)                                                         (Ramachandran et al. 2017)
//   quick_gelu  x·σ(1.702·x)                                                   (OpenAI's CLIP)
//
// The derivative of relu is known from the output. Those of the others need the pre-activation, and x cannot be
// had back from gelu(x) or silu(x), which are not monotonic: products write it beside the output when they are asked
// to. Recomputing it instead would cost a third product in training, to save a buffer that is written once and read
// once.
#pragma once
#include <cstdint>
#include <string>

#include "kernels/dtype.h"
#include "kernels/unary.h"
#include "kernels/vector_math.h"

namespace holt {

enum class Activation : uint8_t { none, relu, gelu, gelu_tanh, silu, quick_gelu };

/// "none", "relu", "gelu", "gelu_tanh", "silu", "quick_gelu"
std::string to_string(Activation a);

/// Whether the backward needs the pre-activation (and not the output).
constexpr bool needs_input(Activation a) { return a != Activation::none && a != Activation::relu; }

// A: float or double.

template <class A>
[[gnu::always_inline]] HOLT_HD inline A relu_of(A x) {
  return x < A(0) ? A(0) : x;  // a NaN stays NaN
}
template <class A>
[[gnu::always_inline]] HOLT_HD inline A gelu_of(A x) {
  return A(0.5) * x * (A(1) + vmath::erf(x * A(0.70710678118654752440)));
}
template <class A>
[[gnu::always_inline]] HOLT_HD inline A gelu_tanh_of(A x) {
  const A u = A(0.79788456080286535588) * (x + A(0.044715) * x * x * x);
  return A(0.5) * x * (A(1) + vmath::tanh(u));
}
template <class A>
HOLT_HD Swish<A> swish_of(Activation a) {
  return {a == Activation::silu ? A(kSiluBeta) : A(kQuickGeluBeta)};
}

/// d gelu/dx and d gelu_tanh/dx: those of the unary functions, which know how to be vector code.
template <class A>
[[gnu::always_inline]] HOLT_HD inline A gelu_slope(A x) {
  return GeluExact{}.slope(x);
}
template <class A>
[[gnu::always_inline]] HOLT_HD inline A gelu_tanh_slope(A x) {
  return GeluTanh{}.slope(x);
}

template <class A>
[[gnu::always_inline]] HOLT_HD inline A activate(Activation a, A x) {
  switch (a) {
    case Activation::none:
      return x;
    case Activation::relu:
      return relu_of(x);
    case Activation::gelu:
      return gelu_of(x);
    case Activation::gelu_tanh:
      return gelu_tanh_of(x);
    case Activation::silu:
    case Activation::quick_gelu:
      return swish_of<A>(a).value(x);
  }
  return x;
}

/// d activate/dx; `saved` is the output for relu, not looked at for none, else the pre-activation.
template <class A>
[[gnu::always_inline]] HOLT_HD inline A activation_slope(Activation a, A saved) {
  switch (a) {
    case Activation::none:
      return A(1);
    case Activation::relu:
      return saved > A(0) ? A(1) : A(0);
    case Activation::gelu:
      return gelu_slope(saved);
    case Activation::gelu_tanh:
      return gelu_tanh_slope(saved);
    case Activation::silu:
    case Activation::quick_gelu:
      return swish_of<A>(a).slope(saved);
  }
  return A(1);
}

}  // namespace holt
