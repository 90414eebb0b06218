// One element of a buffer whose type is known at run time.
#pragma once
#include <limits>

#include "kernels/dtype.h"

namespace holt::test {

template <class T>
inline void store(void* p, int64_t i, double x) {
  if constexpr (std::is_same_v<T, bf16> || std::is_same_v<T, f16>)
    static_cast<T*>(p)[i] = T(static_cast<float>(x));
  else
    static_cast<T*>(p)[i] = static_cast<T>(x);
}

inline double load(DType t, const void* p, int64_t i) {
  switch (t) {
    case DType::f32:
      return static_cast<const float*>(p)[i];
    case DType::bf16:
      return static_cast<const bf16*>(p)[i];
    case DType::f16:
      return static_cast<const f16*>(p)[i];
    case DType::f64:
      return static_cast<const double*>(p)[i];
    case DType::i64:
      return static_cast<double>(static_cast<const int64_t*>(p)[i]);
    case DType::i32:
      return static_cast<const int32_t*>(p)[i];
    case DType::u8:
      return static_cast<const uint8_t*>(p)[i];
  }
  return std::numeric_limits<double>::quiet_NaN();
}

inline void store(DType t, void* p, int64_t i, double x) {
  switch (t) {
    case DType::f32:
      return store<float>(p, i, x);
    case DType::bf16:
      return store<bf16>(p, i, x);
    case DType::f16:
      return store<f16>(p, i, x);
    case DType::f64:
      return store<double>(p, i, x);
    case DType::i64:
      return store<int64_t>(p, i, x);
    case DType::i32:
      return store<int32_t>(p, i, x);
    case DType::u8:
      return store<uint8_t>(p, i, x);
  }
}

}  // namespace holt::test
