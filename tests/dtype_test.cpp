#include "tests/harness/dtype_checks.h"

#include "kernels/error.h"

namespace holt {
namespace {

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
  EXPECT_EQ(epsilon(DType::bf16), test::decoded<bf16>(static_cast<uint16_t>(bf16(1.0f).bits + 1)) - 1);
  EXPECT_EQ(epsilon(DType::f16), test::decoded<f16>(static_cast<uint16_t>(f16(1.0f).bits + 1)) - 1);
  EXPECT_EQ(epsilon(DType::i32), 0);
}

}  // namespace
}  // namespace holt
