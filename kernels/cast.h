// Conversion between element types: y[i] = To(x[i]).
//
//   to a float      the nearest value, ties to even; beyond the largest it is infinity. 16-bit floats come by way of
//                   float, as all arithmetic does: from double and from large integers that rounds twice.
//   to an integer   towards zero, and what does not fit becomes the nearest that does: 300 → u8 is 255, −1 → u8 is 0,
//                   NaN is 0. The same on every device (C++ leaves it open, and CUDA's own 64-bit conversion of NaN is
//                   −2^63).
//
// Bytes: n·(sizeof(From) + sizeof(To)). Memory-bound.
#pragma once
#include <limits>

#include "kernels/device.h"
#include "kernels/memory.h"
#include "kernels/rungs.h"

namespace holt {

inline constexpr Rungs<2> cast_rungs{"cast", {"naive", "vec16"}};

/// One element's conversion, on every device.
template <class To, class From>
HOLT_HD inline To converted(From x) {
  if constexpr (std::is_same_v<To, From>) {
    return x;
  } else if constexpr (std::is_floating_point_v<To>) {
    return static_cast<To>(static_cast<acc_t<From>>(x));
  } else if constexpr (is_floating<To>) {
    return To(static_cast<float>(x));
  } else if constexpr (is_floating<From>) {
    // The bounds as floats: −2^k is exact, and 2^k is the first value that does not fit.
    using A = acc_t<From>;
    constexpr A low = static_cast<A>(std::numeric_limits<To>::min());
    constexpr A high = static_cast<A>(uint64_t{1} << (std::numeric_limits<To>::digits - 1)) * 2;
    const A v = x;
    return v >= high ? std::numeric_limits<To>::max()
           : v > low ? static_cast<To>(v)
           : v != v  ? To(0)
                     : std::numeric_limits<To>::min();
  } else {
    constexpr int64_t low = std::numeric_limits<To>::min(), high = std::numeric_limits<To>::max();
    const int64_t v = x;
    return static_cast<To>(v < low ? low : v > high ? high : v);
  }
}

/// Whether cast() exists for a pair. On cpu all do. A GPU has the pairs with f32, those with i32 among integers,
/// bf16 ↔ f16 and u8 → 16-bit floats; the others give the same values by way of f32, or of i32 between integers.
template <class B, class From, class To>
inline constexpr bool has_cast = [] {
  if (std::is_same_v<From, To>) return false;
  if (!is_gpu<B>) return true;
  if (std::is_same_v<From, double> || std::is_same_v<To, double>) return false;
  constexpr bool f32 = std::is_same_v<From, float> || std::is_same_v<To, float>;
  constexpr bool i32 = std::is_same_v<From, int32_t> || std::is_same_v<To, int32_t>;
  constexpr bool floats = is_floating<From> && is_floating<To>, integers = !is_floating<From> && !is_floating<To>;
  return f32 || floats || (integers && i32) || (std::is_same_v<From, uint8_t> && is_floating<To>);
}();

/// y[n] ← x[n], converted. Defined where has_cast<B, From, To>.
template <class B, class From, class To>
void cast(B, int64_t n, const From* x, To* y);

/// The same for every pair that the device's dtypes allow; what cast() lacks takes two steps.
template <class B, class From, class To>
void cast_any(B dev, int64_t n, const From* x, To* y) {
  if constexpr (has_cast<B, From, To>) {
    cast(dev, n, x, y);
  } else {
    static_assert(!std::is_same_v<From, To>);
    using Via = std::conditional_t<is_floating<From> || is_floating<To>, float, int32_t>;
    const Workspace via(dev, static_cast<size_t>(n) * sizeof(Via));
    cast(dev, n, x, via.as<Via>());
    cast(dev, n, via.as<Via>(), y);
  }
}

}  // namespace holt
