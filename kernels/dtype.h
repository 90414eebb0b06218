// Element types. 16-bit floats are storage: arithmetic happens in float (`acc_t`), on every device.
#pragma once
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>

#if defined(__CUDACC__)
#define HOLT_HD __host__ __device__
#else
#define HOLT_HD
#endif

namespace holt {

enum class DType : uint8_t { f32, bf16, f16, f64, i64, i32, u8 };

/// bfloat16: the upper half of a float. Rounds to nearest even; NaN stays NaN.
struct bf16 {
  uint16_t bits;
  bf16() = default;
  HOLT_HD explicit bf16(float x) {
    const uint32_t u = std::bit_cast<uint32_t>(x);
    // A NaN whose payload is only in the lower half would round to infinity: set a payload bit that survives.
    bits = (u & 0x7fffffffu) > 0x7f800000u ? (u >> 16) | 0x40u : (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
  }
  HOLT_HD operator float() const { return std::bit_cast<float>(uint32_t{bits} << 16); }
};

/// IEEE half. Rounds to nearest even; overflow gives infinity, tiny values become subnormal. On the host the
/// conversions are written out, for GCC 12 vectorises these (0.2 ns an element) and leaves those of _Float16 scalar
/// (0.9 ns).
struct f16 {
  uint16_t bits;
  f16() = default;
  HOLT_HD explicit f16(float x) {
#if defined(__CUDA_ARCH__)
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(x));
#else
    const uint32_t u = std::bit_cast<uint32_t>(x), sign = (u >> 16) & 0x8000u, a = u & 0x7fffffffu;
    if (a >= 0x7f800000u) {  // infinity, NaN
      bits = static_cast<uint16_t>(sign | 0x7c00u | (a > 0x7f800000u ? 0x200u | ((a >> 13) & 0x3ffu) : 0u));
    } else if (a < 0x38800000u) {  // below 2^-14: adding 0.5 aligns the subnormal's bits at the bottom, and rounds them
      bits = static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(std::bit_cast<float>(a) + 0.5f) - 0x3f000000u));
    } else {
      const uint32_t r = a - 0x38000000u + 0xfffu + ((a >> 13) & 1u);
      bits = static_cast<uint16_t>(sign | (r >= 0x0f800000u ? 0x7c00u : r >> 13));
    }
#endif
  }
  HOLT_HD operator float() const {
#if defined(__CUDA_ARCH__)
    float x;
    asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(bits));
    return x;
#else
    const uint32_t sign = uint32_t{bits & 0x8000u} << 16, e = (bits >> 10) & 31u, m = bits & 0x3ffu;
    if (e == 31) return std::bit_cast<float>(sign | 0x7f800000u | (m << 13));
    if (e == 0) return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(static_cast<float>(m) * 0x1p-24f));
    return std::bit_cast<float>(sign | ((e + 112) << 23) | (m << 13));
#endif
  }
};

static_assert(sizeof(bf16) == 2 && sizeof(f16) == 2);

/// The type in which values of T are summed.
template <class T>
using acc_t =
    std::conditional_t<std::is_same_v<T, double>, double, std::conditional_t<std::is_integral_v<T>, int64_t, float>>;

/// dst ← x, rounded to T. For loops under "#pragma omp simd": GCC gives the temporary in `dst = T(x)` an array of its
/// own there, and then does not vectorise the loop for 16-bit T.
template <class T>
HOLT_HD inline void assign(T& dst, acc_t<T> x) {
  dst = T(x);
}

template <class T>
inline constexpr bool is_floating =
    std::is_same_v<T, float> || std::is_same_v<T, bf16> || std::is_same_v<T, f16> || std::is_same_v<T, double>;

template <class T>
inline constexpr DType dtype_of = [] {
  if constexpr (std::is_same_v<T, float>)
    return DType::f32;
  else if constexpr (std::is_same_v<T, bf16>)
    return DType::bf16;
  else if constexpr (std::is_same_v<T, f16>)
    return DType::f16;
  else if constexpr (std::is_same_v<T, double>)
    return DType::f64;
  else if constexpr (std::is_same_v<T, int64_t>)
    return DType::i64;
  else if constexpr (std::is_same_v<T, int32_t>)
    return DType::i32;
  else {
    static_assert(std::is_same_v<T, uint8_t>, "no DType for this type");
    return DType::u8;
  }
}();

constexpr size_t size_of(DType t) {
  switch (t) {
    case DType::f64:
    case DType::i64:
      return 8;
    case DType::f32:
    case DType::i32:
      return 4;
    case DType::bf16:
    case DType::f16:
      return 2;
    case DType::u8:
      return 1;
  }
  return 0;
}

constexpr bool is_float(DType t) { return t == DType::f32 || t == DType::bf16 || t == DType::f16 || t == DType::f64; }

/// Distance from 1 to the next larger number: 2^-23, 2^-7, 2^-10, 2^-52; 0 for integers.
constexpr double epsilon(DType t) {
  switch (t) {
    case DType::f32:
      return 0x1p-23;
    case DType::bf16:
      return 0x1p-7;
    case DType::f16:
      return 0x1p-10;
    case DType::f64:
      return 0x1p-52;
    default:
      return 0;
  }
}

std::string to_string(DType t);
/// "f32", "bf16", "f16", "f64", "i64", "i32", "u8"; anything else is an Error.
DType parse_dtype(const std::string& name);

}  // namespace holt
