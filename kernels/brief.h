// exp, log, tanh, σ, Φ and what unary.h makes of them, on vectors, for results that are rounded to bf16: off by at most
// 2^-10.6 of the result, so that this and the rounding together stay below 0.7 of bf16's last place. That takes half of
// the arithmetic of vector_math.h, whose functions keep two cores busier than their memory. tests/brief_test.cpp holds
// the bound for every one of the 65,536 inputs. Exponentials below 2^-126.5 are 0. Infinities and NaN do what they do
// in unary.h, but for gelu(−∞), which is 0.
//
// The polynomials are minimax fits of the relative error.
#pragma once
#include <cmath>

#include "kernels/lanes.h"
#include "kernels/unary.h"

namespace holt::brief {

using lanes::abs, lanes::at_least, lanes::at_most, lanes::Vec;

namespace detail {

constexpr float kLog2e = 1.44269504089f;
constexpr float kLeast = -127, kMost = 128;  // of pow2's argument: there its result is 0 and infinity

using vmath::detail::polynomial;

/// 2^y for y in [−127.5, 128.5): 2^n·2^r with n = round(y), |r| ≤ ½, and the polynomial c for 2^r.
template <class... C>
[[gnu::always_inline]] inline Vec pow2_by(Vec y, C... c) {
  constexpr float kRound = 0x1.8p23f + 127;  // adding it leaves n + 127 at the bottom: the exponent of 2^n
  const Vec shifted = y + kRound, r = y - (shifted - kRound);
  return polynomial(r, c...) * lanes::from_bits(lanes::bits(shifted) << 23);
}

/// The same, off by 1.0e-4, `fine` by 2.8e-6. 2^0 is 1.
template <bool fine = false>
[[gnu::always_inline]] inline Vec pow2(Vec y) {
  return fine ? pow2_by(y, 9.58285787e-3f, 5.5906421e-2f, 0.240240985f, 0.693124194f, 1.0f)
              : pow2_by(y, 5.50089428e-2f, 0.242210957f, 0.693282925f, 1.0f);
}

/// 1 + 2^y for any y.
[[gnu::always_inline]] inline Vec one_and_pow2(Vec y) { return 1.0f + pow2(at_most(at_least(y, kLeast), kMost)); }

/// d x·σ(w)/dx = σ + v·σ·(1 − σ), where v = x·dw/dx. σ(w) and σ(−w) are 1/(1 + t) and t/(1 + t), t = e^−|w|: neither is
/// found by subtraction. `sign` has w's; w_log2 = −|w|·log2 e.
[[gnu::always_inline]] inline Vec swish_slope(Vec sign, Vec w_log2, Vec v) {
  const Vec t = pow2<true>(at_least(w_log2, kLeast)), r = 1.0f / (1.0f + t);
  return r * ((sign < 0 ? t : lanes::Vec{} + 1.0f) + v * (t * r));
}

}  // namespace detail

/// (e^{x/2})²: overflows and becomes subnormal by itself.
[[gnu::always_inline]] inline Vec exp(Vec x) {
  const Vec root = detail::pow2(at_most(at_least(x * (0.5f * detail::kLog2e), -80), 65));
  return root * root;
}

/// e^x for x ≤ 0 (or NaN).
[[gnu::always_inline]] inline Vec exp_negative(Vec x) {
  return detail::pow2(at_least(x * detail::kLog2e, detail::kLeast));
}

/// 2^y for y ≤ 0 (or NaN), off by at most 2e-7: for sums that stay in float.
[[gnu::always_inline]] inline Vec pow2_negative(Vec y) {
  return detail::pow2_by(at_least(y, detail::kLeast), 1.3264729641e-3f, 9.6715139225e-3f, 5.5507335812e-2f,
                         2.4022242427e-1f, 6.9314700365e-1f, 1.0f);
}

[[gnu::always_inline]] inline Vec value(Exp, Vec x) { return exp(x); }

/// n·ln 2 + ln(1 + f) for x = 2^n·(1 + f), 1 + f in [√½, √2).
[[gnu::always_inline]] inline Vec value(Log, Vec x) {
  const Vec zero = {}, scaled = x < 0x1p-126f ? x * 0x1p23f : x;     // subnormal
  using Words = uint32_t __attribute__((vector_size(sizeof(Vec))));  // negative x, which comes to nothing, wraps round
  const auto word = reinterpret_cast<Words>(scaled);
  const auto n = reinterpret_cast<lanes::Ints>(word - 0x3f3504f3u) >> 23;  // that is √½
  const Vec f = reinterpret_cast<Vec>(word - (reinterpret_cast<Words>(n) << 23)) - 1.0f;
  const Vec part = f * detail::polynomial(f, 0.176580555f, -0.270945993f, 0.33638884f, -0.499450647f, 0.999966181f);
  Vec y = (__builtin_convertvector(n, Vec) - (x < 0x1p-126f ? zero + 23.0f : zero)) * 0.693147181f + part;
  y = x == INFINITY ? x : y;
  y = x == 0.0f ? zero - INFINITY : y;
  return x >= 0.0f ? y : zero + NAN;
}

/// x·P(x²)/Q(x²); from 3.6 on 1 is the nearest number.
[[gnu::always_inline]] inline Vec value(Tanh, Vec x) {
  const Vec c = at_most(at_least(x, -3.6f), 3.6f), z = c * c;
  return c * detail::polynomial(z, 8.11045465e-4f, 0.106356288f, 0.999993256f) /
         detail::polynomial(z, 1.41005868e-2f, 0.439633627f, 1.0f);
}
[[gnu::always_inline]] inline Vec slope(Tanh, Vec x) {
  const Vec t = exp_negative(-2.0f * abs(x)), r = 1.0f / (1.0f + t);
  return 4.0f * t * r * r;
}

[[gnu::always_inline]] inline Vec value(Sigmoid, Vec x) { return 1.0f / detail::one_and_pow2(x * -detail::kLog2e); }
[[gnu::always_inline]] inline Vec slope(Sigmoid, Vec x) {
  const Vec t = exp_negative(-abs(x)), r = 1.0f / (1.0f + t);
  return t * r * r;
}

[[gnu::always_inline]] inline Vec value(Swish<float> f, Vec x) {
  return x / detail::one_and_pow2(x * (f.beta * -detail::kLog2e));
}
[[gnu::always_inline]] inline Vec slope(Swish<float> f, Vec x) {
  const Vec w = at_most(at_least(f.beta * x, -200), 200);  // finite, so that nothing times 0 is 0
  return detail::swish_slope(x, abs(w) * -detail::kLog2e, w);
}

[[gnu::always_inline]] inline Vec value(GeluTanh, Vec x) {
  constexpr float kA = static_cast<float>(-GeluTanh::kScale) * detail::kLog2e, kB = 0.044715f * kA;
  return x / detail::one_and_pow2(x * (kB * (x * x) + kA));
}
[[gnu::always_inline]] inline Vec slope(GeluTanh, Vec x) {
  constexpr float kA = GeluTanh::kScale, kB = 0.044715f * kA;
  const Vec near = at_most(at_least(x, -14), 14), z = near * near;
  const Vec w = abs(near) * (kB * -detail::kLog2e * z + kA * -detail::kLog2e), v = near * (3 * kB * z + kA);
  return detail::swish_slope(x, w, v);
}

/// max(x, 0) − t·Φ(−t), t = |x|, log2 Φ(−t) by its even and odd powers. From 13 on 2^… is 0.
[[gnu::always_inline]] inline Vec value(GeluExact, Vec x) {
  const Vec t = at_most(abs(x), 13), z = t * t;
  const Vec even = detail::polynomial(z, 1.86707928e-5f, 5.56581924e-3f, -0.472114145f, -1.00071876f);
  const Vec odd = detail::polynomial(z, -3.39983395e-7f, -4.32297045e-4f, -4.48489391e-2f, -1.14350667f);
  return at_least(x, 0) - t * detail::pow2(odd * t + even);
}
/// h = Φ(−t) − t·φ(t) for negative x, 1 − h for the others; h's root is divided out before its logarithm is fitted.
[[gnu::always_inline]] inline Vec slope(GeluExact, Vec x) {
  const Vec t = at_most(abs(x), 13.2f), z = t * t;
  const Vec even = detail::polynomial(z, 3.9700545e-8f, 6.00404217e-5f, 7.16776668e-3f, -0.576664655f, -0.58883246f);
  const Vec odd = detail::polynomial(z, -2.37512498e-6f, -8.39395575e-4f, -3.93369018e-2f, -0.376757198f);
  const Vec h = (0.751791525f - t) * detail::pow2(odd * t + even);
  return x > 0 ? 1.0f - h : h;
}

/// Whether value() and slope() above have F.
template <class F>
inline constexpr bool has_value = requires(F f, Vec x) {
  value(f, x);
};
template <class F>
inline constexpr bool has_slope = requires(F f, Vec x) {
  slope(f, x);
};

}  // namespace holt::brief
