// exp, log, erf, tanh, sigmoid and GELU in float, without branches: a loop over them becomes vector code (GCC calls the
// scalar library for each element otherwise).
//
//   exp     ≤ 1 ulp      log  ≤ 1 ulp      erf, tanh  ≤ 2 ulp      sigmoid  ≤ 3 ulp above 2^-126, below it 0
//
// against the exact value over all floats, subnormal results included. Infinities and NaN do what IEEE's functions do.
// The double overloads are std's. tests/vector_math_test.cpp holds all of this. On a GPU the float ones are CUDA's own,
// so that one functor serves every device.
#pragma once
#include <bit>
#include <cmath>
#include <cstdint>

#include "kernels/dtype.h"

namespace holt::vmath {

namespace detail {

/// c[0]·x^k + … + c[k], highest power first, of a number or of a vector.
template <class V, class... C>
[[gnu::always_inline]] inline V polynomial(V x, float highest, C... c) {
  V p = V{} + highest;
  ((p = p * x + c), ...);
  return p;
}

// x = n·ln 2 + r, |r| ≤ ln 2 / 2. (Two functions of floats: of a struct GCC makes an array in a simd loop, and
// gathers.)

// n + kExpRound: adding it leaves the nearest integer, whose bits stand at the bottom meanwhile, and 127 more, so that
// shifted to the top they are the exponent of 2^n.
constexpr float kExpRound = 0x1.8p23f + 127;
inline float exp_shifted(float x) { return x * 0x1.715476p+0f + kExpRound; }

// e^r
inline float exp_rest(float x, float shifted) {
  const float n = shifted - kExpRound;
  const float r = (x - n * 0x1.62ep-1f) - n * 0x1.0bfbe8p-15f;  // ln 2 in two parts: n·high is exact
  // (e^r − 1 − r)/r², Cephes expf
  const float p = polynomial(r, 1.9875691500e-4f, 1.3981999507e-3f, 8.3334519073e-3f, 4.1665795894e-2f,
                             1.6666665459e-1f, 5.0000001201e-1f);
  return p * (r * r) + r + 1.0f;
}

/// 2^y for y in [−127.5, 128), off by 1e-7 of the result; what is below 2^-126.5 is 0.
inline float pow2(float y) {
  const float shifted = y + kExpRound, r = y - (shifted - kExpRound);
  // 2^r, |r| ≤ ½
  const float p =
      polynomial(r, 1.53264613e-4f, 1.33908063e-3f, 9.61850584e-3f, 5.55035993e-2f, 0.240226477f, 0.693147182f, 1.0f);
  return p * std::bit_cast<float>(std::bit_cast<uint32_t>(shifted) << 23);
}

}  // namespace detail

/// e^x = 2^n·e^r with n = round(x / ln 2), |r| ≤ ln 2 / 2.
HOLT_HD inline float exp(float x) {
#if defined(__CUDA_ARCH__)
  return ::expf(x);
#else
  // Beyond these the result is 0 and infinity anyway; a NaN passes both comparisons unchanged.
  x = x < -105.0f ? -105.0f : x;
  x = x > 89.0f ? 89.0f : x;
  const float shifted = detail::exp_shifted(x);
  // 2^n in two factors, because n reaches −151 and 128: the second one rounds, once, into the subnormals or overflows.
  const int32_t n = std::bit_cast<int32_t>(shifted) - std::bit_cast<int32_t>(detail::kExpRound), half = n >> 1;
  return detail::exp_rest(x, shifted) * std::bit_cast<float>((half + 127) << 23) *
         std::bit_cast<float>((n - half + 127) << 23);
#endif
}
inline double exp(double x) { return std::exp(x); }

/// e^x for x ≤ 0 (or NaN), in two thirds of the time: nothing overflows, and below 2^-126.5 the result is 0.
HOLT_HD inline float exp_negative(float x) {
#if defined(__CUDA_ARCH__)
  return ::expf(x);
#else
  x = x < -88.0f ? -88.0f : x;  // there n is −127, whose 2^n has the bits of 0
  const float shifted = detail::exp_shifted(x);
  return detail::exp_rest(x, shifted) * std::bit_cast<float>(std::bit_cast<uint32_t>(shifted) << 23);
#endif
}
inline double exp_negative(double x) { return std::exp(x); }

/// ln x = e·ln 2 + ln m with x = m·2^e, m in [√½, √2).
HOLT_HD inline float log(float x) {
#if defined(__CUDA_ARCH__)
  return ::logf(x);
#else
  const bool subnormal = x < 0x1p-126f;
  const float scaled = subnormal ? x * 0x1p23f : x;
  const uint32_t bits = std::bit_cast<uint32_t>(scaled);
  const int32_t e = static_cast<int32_t>(bits - 0x3f3504f3u) >> 23;  // 0x3f3504f3 is √½
  const float f = std::bit_cast<float>(bits - (static_cast<uint32_t>(e) << 23)) - 1.0f, z = f * f;
  const float n = static_cast<float>(e) - (subnormal ? 23.0f : 0.0f);
  // (ln(1 + f) − f + f²/2)/f³, Cephes logf
  float p =
      detail::polynomial(f, 7.0376836292e-2f, -1.1514610310e-1f, 1.1676998740e-1f, -1.2420140846e-1f, 1.4249322787e-1f,
                         -1.6668057665e-1f, 2.0000714765e-1f, -2.4999993993e-1f, 3.3333331174e-1f);
  p = p * f * z - n * 2.12194440e-4f;  // ln 2 = 0.693359375 − 0.000212…: n times the first is exact
  float y = (p - 0.5f * z) + f + n * 0.693359375f;
  y = x == INFINITY ? x : y;
  y = x == 0.0f ? -INFINITY : y;
  return x >= 0.0f ? y : NAN;
#endif
}
inline double log(double x) { return std::log(x); }

/// Odd polynomial below 0.625, 1 − 2/(e^{2|x|} + 1) above.
HOLT_HD inline float tanh(float x) {
#if defined(__CUDA_ARCH__)
  return ::tanhf(x);
#else
  const float a = std::fabs(x), z = x * x;
  // (tanh x / x − 1)/x², Cephes tanhf
  const float p = detail::polynomial(z, -5.70498872745e-3f, 2.06390887954e-2f, -5.37397155531e-2f, 1.33314422036e-1f,
                                     -3.33332819422e-1f);
  const float small = p * z * x + x;
  const float large = 1.0f - 2.0f / (exp(2.0f * a) + 1.0f);
  return std::copysign(a < 0.625f ? small : large, x);
#endif
}
inline double tanh(double x) { return std::tanh(x); }

/// Odd polynomial below 0.9277, 1 − e^{q(|x|)} above (both minimax, found by N. Juffa).
HOLT_HD inline float erf(float x) {
#if defined(__CUDA_ARCH__)
  return ::erff(x);
#else
  const float a = std::fabs(x), z = x * x;
  const float p = detail::polynomial(z, -5.96761703e-4f, 4.99119423e-3f, -2.67681349e-2f, 1.12819925e-1f,
                                     -3.76125336e-1f, 1.28379166e-1f);
  const float small = p * x + x;
  const float t = a > 4.0f ? 4.0f : a;  // erf is 1 from 3.92 on; a NaN passes
  float q = -1.72853470e-5f * t + 3.83197126e-4f;
  q = q * (t * t) + (-3.88396438e-3f * t + 2.42546219e-2f);
  q = q * t - 1.06777877e-1f;
  q = q * t - 6.34846687e-1f;
  q = q * t - 1.28717512e-1f;
  q = q * t - t;
  const float large = 1.0f - exp(q);
  return std::copysign(a < 0.927734375f ? small : large, x);
#endif
}
inline double erf(double x) { return std::erf(x); }

/// x·Φ(x), Φ the normal distribution function, off by at most 5e-8: max(x, 0) − t·Φ(−t), t = |x|, with Φ(−t) as a power
/// of 2, so that one exponential does and nothing cancels. Φ(0) is exactly ½.
HOLT_HD inline float gelu(float x) {
#if defined(__CUDA_ARCH__)
  return x * ::normcdff(x);
#else
  float t = std::fabs(x);
  t = t > 10.3882f ? 10.3882f : t;  // there 2^q is 0
  // log2 Φ(−t)
  const float q = detail::polynomial(t, -1.90414619e-6f, 2.80849126e-5f, -1.31624693e-4f, -2.71650584e-4f,
                                     7.24475924e-3f, -5.26270457e-2f, -0.459162384f, -1.15111101f, -1.0f);
  return (x < 0.0f ? 0.0f : x) - t * detail::pow2(q);
#endif
}
inline double gelu(double x) { return 0.5 * x * std::erfc(x * -0.70710678118654752440); }

/// d gelu/dx = Φ(x) + x·φ(x), off by at most 1e-7. It is h = Φ(−t) − t·φ(t) for negative x, 1 − h for the others; h's
/// root is divided out before its logarithm is fitted.
HOLT_HD inline float gelu_slope(float x) {
#if defined(__CUDA_ARCH__)
  return ::normcdff(x) + x * (0.39894228040143267794f * ::expf(-0.5f * x * x));
#else
  float t = std::fabs(x);
  t = t > 13.7546f ? 13.7546f : t;  // there 2^q is 0
  // log2 h/(root − t)
  const float q = detail::polynomial(t, -6.95819367e-8f, 2.9297014e-6f, -5.08265512e-5f, 5.0020474e-4f, -3.24297138e-3f,
                                     1.52164148e-2f, -5.51403128e-2f, -0.560575902f, -0.383200884f, -0.588404536f);
  const float h = (0.751791537f - t) * detail::pow2(q);
  return x > 0.0f ? 1.0f - h : h;
#endif
}
inline double gelu_slope(double x) {
  return 0.5 * std::erfc(x * -0.70710678118654752440) + x * (0.39894228040143267794 * std::exp(-0.5 * x * x));
}

/// 1/(1 + e^−x), for negative x as e^x/(1 + e^x): one exponential of what is never positive serves both. (A template is
/// not inline by itself: GCC called it from some loops, which were 20 times slower then.)
template <class T>
[[gnu::always_inline]] HOLT_HD inline T sigmoid(T x) {
  const T t = exp_negative(x < 0 ? x : -x);
  return (x < 0 ? t : T(1)) / (T(1) + t);
}

}  // namespace holt::vmath
