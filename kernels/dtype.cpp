#include "kernels/dtype.h"

#include <array>

#include "kernels/error.h"

namespace holt {
namespace {
constexpr std::array<const char*, 7> kNames{"f32", "bf16", "f16", "f64", "i64", "i32", "u8"};
}

std::string to_string(DType t) { return kNames.at(static_cast<size_t>(t)); }

DType parse_dtype(const std::string& name) {
  for (size_t i = 0; i < kNames.size(); ++i)
    if (name == kNames[i]) return static_cast<DType>(i);
  fail("unknown dtype '{}'; expected one of f32, bf16, f16, f64, i64, i32, u8", name);
}

}  // namespace holt
