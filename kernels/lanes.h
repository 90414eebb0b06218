// Vectors as values, for loops that GCC makes poor code of: any compiler's vector extensions, of the width that the
// processor has. What they cannot say well (16-bit floats; minima, for which GCC compares and selects) is named here.
#pragma once
#include <cstring>
#include <utility>

#include "kernels/narrow.h"

namespace holt::lanes {

#if defined(__AVX512F__)
inline constexpr int kLanes = 16;
#elif defined(__AVX__)
inline constexpr int kLanes = 8;
#else
inline constexpr int kLanes = 4;
#endif

using Vec = float __attribute__((vector_size(kLanes * sizeof(float))));
using LooseVec = float __attribute__((vector_size(kLanes * sizeof(float)), aligned(4), may_alias));
using Ints = int32_t __attribute__((vector_size(kLanes * sizeof(int32_t))));

[[gnu::always_inline]] inline Ints bits(Vec x) { return reinterpret_cast<Ints>(x); }
[[gnu::always_inline]] inline Vec from_bits(Ints x) { return reinterpret_cast<Vec>(x); }

[[gnu::always_inline]] inline Vec load(const float* x) { return *reinterpret_cast<const LooseVec*>(x); }
[[gnu::always_inline]] inline void store(float* y, Vec v) { *reinterpret_cast<LooseVec*>(y) = v; }

// 16-bit floats, by way of memory that the compiler leaves out.
template <class H>
[[gnu::always_inline]] inline Vec load(const H* x) requires(sizeof(H) == 2) {
  alignas(sizeof(Vec)) float buffer[kLanes];
  detail::widen(kLanes, x, buffer);
  return load(buffer);
}
template <class H>
[[gnu::always_inline]] inline void store(H* y, Vec v) requires(sizeof(H) == 2) {
  alignas(sizeof(Vec)) float buffer[kLanes];
  store(buffer, v);
  detail::narrow(kLanes, buffer, y);
}

// double, in which nothing is in a hurry, has one lane, so that one source serves every type.
[[gnu::always_inline]] inline double load(const double* x) { return *x; }
[[gnu::always_inline]] inline void store(double* y, double v) { *y = v; }
template <class T>
using vec_t = std::conditional_t<std::is_same_v<T, double>, double, Vec>;
template <class T>
inline constexpr int lanes_of = std::is_same_v<T, double> ? 1 : kLanes;

/// The first n lanes' worth of x; 0 in the other lanes.
template <class T>
vec_t<T> load_first(int64_t n, const T* x) {
  T part[lanes_of<T>] = {};
  std::memcpy(part, x, n * sizeof(T));
  return load(part);
}
/// The first n lanes of v.
template <class T>
void store_first(int64_t n, T* y, vec_t<T> v) {
  T part[lanes_of<T>];
  store(part, v);
  std::memcpy(y, part, n * sizeof(T));
}

/// op, of vectors and of numbers, over all lanes, by halves.
template <class V, class Op>
[[gnu::always_inline]] inline float fold(V v, Op op) {
  constexpr int kHalf = sizeof(V) / sizeof(float) / 2;
  if constexpr (kHalf == 2) {
    return op(op(v[0], v[2]), op(v[1], v[3]));
  } else {
    const auto from = [v]<int... I>(int first, std::integer_sequence<int, I...>) {
      return first ? __builtin_shufflevector(v, v, kHalf + I...) : __builtin_shufflevector(v, v, I...);
    };
    constexpr std::make_integer_sequence<int, kHalf> half;
    return fold(op(from(0, half), from(kHalf, half)), op);
  }
}
/// The lanes added up.
inline double sum(double v) { return v; }
inline float sum(Vec v) {
  return fold(v, [](auto x, auto y) { return x + y; });
}

/// Σ f(c) for c = 0, step, 2·step … below end, into four sums, so that additions need not wait for each other.
template <class V, class F>
[[gnu::always_inline]] inline V total(int64_t end, int64_t step, F f) {
  V sums[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) sums[i] = V{};
  int64_t c = 0;
  for (; c + 4 * step <= end; c += 4 * step)
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) sums[i] += f(c + i * step);
  for (; c < end; c += step) sums[0] += f(c);
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

/// min(x, high) and max(x, low); a NaN stays one.
[[gnu::always_inline]] inline Vec at_most(Vec x, float high) {
  const Vec limit = Vec{} + high;
#if defined(__AVX512F__)
  return _mm512_maskz_min_ps(holt::detail::kAll, limit, x);  // its second operand where one is a NaN
#else
  return x > limit ? limit : x;
#endif
}
[[gnu::always_inline]] inline Vec at_least(Vec x, float low) {
  const Vec limit = Vec{} + low;
#if defined(__AVX512F__)
  return _mm512_maskz_max_ps(holt::detail::kAll, limit, x);
#else
  return x < limit ? limit : x;
#endif
}

/// max(m, x); m where x is a NaN.
[[gnu::always_inline]] inline Vec larger(Vec m, Vec x) {
#if defined(__AVX512F__)
  return _mm512_maskz_max_ps(holt::detail::kAll, x, m);
#else
  return m < x ? x : m;
#endif
}

[[gnu::always_inline]] inline Vec abs(Vec x) { return from_bits(bits(x) & 0x7fffffff); }

/// y[n] = f(vectors of x[n]…); y has room for whole vectors.
template <class F, class... T>
void map(int64_t n, float* y, F f, const T*... x) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store(y + i, f(load(x + i)...));
  if (i < n) store(y + i, f(load_first(n - i, x + i)...));
}

}  // namespace holt::lanes
