// What bf16 and f16 must do, from IEEE 754's definition in double: every pattern, and rounding of any float.
#include "kernels/dtype.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "kernels/error.h"
#include "kernels/philox.h"

namespace holt {
namespace {

struct Format {
  int digits, min_exponent, max_exponent;  // significant bits, and the exponents e of 1.…·2^e
};
template <class T>
inline constexpr Format format_of = {8, -126, 127};  // bf16
template <>
inline constexpr Format format_of<f16> = {11, -14, 15};

/// The value of a pattern.
template <class T>
double decoded(uint16_t bits) {
  constexpr Format f = format_of<T>;
  const int fraction_bits = f.digits - 1;
  const int exponent = (bits & 0x7fff) >> fraction_bits, fraction = bits & ((1 << fraction_bits) - 1);
  const double sign = bits & 0x8000 ? -1 : 1;
  if (exponent == 2 * f.max_exponent + 1)
    return fraction ? std::numeric_limits<double>::quiet_NaN() : sign * std::numeric_limits<double>::infinity();
  const double significand = exponent == 0 ? fraction : fraction + (1 << fraction_bits);
  return sign * std::ldexp(significand, std::max(exponent, 1) + f.min_exponent - 1 - fraction_bits);
}

/// The nearest representable value, ties to even.
template <class T>
double rounded(double x) {
  constexpr Format f = format_of<T>;
  if (x == 0 || !std::isfinite(x)) return x;
  const int exponent = std::max(std::ilogb(x), f.min_exponent);
  const double quantum = std::ldexp(1.0, exponent - (f.digits - 1));
  const double r = std::nearbyint(x / quantum) * quantum;
  return std::abs(r) >= std::ldexp(1.0, f.max_exponent + 1) ? std::copysign(std::numeric_limits<double>::infinity(), x)
                                                            : r;
}

template <class T>
void every_pattern_decodes_and_survives() {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    T t;
    t.bits = static_cast<uint16_t>(bits);
    const double want = decoded<T>(t.bits), got = static_cast<float>(t);
    if (std::isnan(want)) {
      ASSERT_TRUE(std::isnan(got)) << bits;
      ASSERT_TRUE(std::isnan(float(T(float(t))))) << bits;
    } else {
      ASSERT_EQ(got, want) << bits;
      ASSERT_EQ(std::signbit(got), std::signbit(want)) << bits;
      ASSERT_EQ(T(static_cast<float>(t)).bits, bits) << bits;
    }
  }
}

template <class T>
void check_rounding(float x) {
  const double want = rounded<T>(x), got = static_cast<float>(T(x));
  if (std::isnan(x)) {
    ASSERT_TRUE(std::isnan(got)) << std::bit_cast<uint32_t>(x);
  } else {
    ASSERT_EQ(got, want) << x;
    ASSERT_EQ(std::signbit(got), std::signbit(x)) << x;
  }
}

template <class T>
void rounds_to_nearest_even() {
  for (uint64_t i = 0; i < 500'000; ++i)  // any pattern of a float: infinities, NaNs and subnormals among them
    for (uint32_t v : philox(3, 5, i).v) check_rounding<T>(std::bit_cast<float>(v));
  for (uint64_t i = 0; i < 250'000; ++i)  // where f16 lives: 2^-27 … 2^18
    for (uint32_t v : philox(4, 5, i).v)
      check_rounding<T>(std::ldexp(2 * uniform01(v) - 1, static_cast<int>(v % 46) - 27));
  for (uint32_t bits = 0; bits < 0x7fff; ++bits) {  // halfway between neighbours, and one float to either side
    const double a = decoded<T>(static_cast<uint16_t>(bits)), b = decoded<T>(static_cast<uint16_t>(bits + 1));
    if (!std::isfinite(b)) continue;
    const float middle = static_cast<float>((a + b) / 2), inf = std::numeric_limits<float>::infinity();
    for (float x : {middle, std::nextafter(middle, inf), std::nextafter(middle, -inf)}) {
      check_rounding<T>(x);
      check_rounding<T>(-x);
    }
  }
}

TEST(DType, EveryBf16PatternDecodesAndSurvives) { every_pattern_decodes_and_survives<bf16>(); }
TEST(DType, EveryF16PatternDecodesAndSurvives) { every_pattern_decodes_and_survives<f16>(); }
TEST(DType, Bf16RoundsToNearestEven) { rounds_to_nearest_even<bf16>(); }
TEST(DType, F16RoundsToNearestEven) { rounds_to_nearest_even<f16>(); }

TEST(DType, NamesAndSizes) {
  for (auto [t, name, size] : {std::tuple{DType::f32, "f32", 4},
                               {DType::bf16, "bf16", 2},
                               {DType::f16, "f16", 2},
                               {DType::f64, "f64", 8},
                               {DType::i64, "i64", 8},
                               {DType::i32, "i32", 4},
                               {DType::u8, "u8", 1}}) {
    EXPECT_EQ(to_string(t), name);
    EXPECT_EQ(parse_dtype(name), t);
    EXPECT_EQ(size_of(t), static_cast<size_t>(size));
  }
  EXPECT_THROW(parse_dtype("float"), Error);
  EXPECT_THROW(parse_dtype(""), Error);
}

TEST(DType, EpsilonIsTheStepAfterOne) {
  EXPECT_EQ(epsilon(DType::f32), std::numeric_limits<float>::epsilon());
  EXPECT_EQ(epsilon(DType::f64), std::numeric_limits<double>::epsilon());
  EXPECT_EQ(epsilon(DType::bf16), decoded<bf16>(static_cast<uint16_t>(bf16(1.0f).bits + 1)) - 1);
  EXPECT_EQ(epsilon(DType::f16), decoded<f16>(static_cast<uint16_t>(f16(1.0f).bits + 1)) - 1);
  EXPECT_EQ(epsilon(DType::i32), 0);
}

}  // namespace
}  // namespace holt
