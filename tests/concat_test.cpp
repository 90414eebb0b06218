// concat, slice and pad2d: values, dtypes, errors.
#include <gtest/gtest.h>

#include "core/autograd.h"
#include "core/ops.h"
#include "tests/harness/expect_error.h"

namespace holt {
namespace {

std::vector<int64_t> values(const Tensor& t) { return t.to_vector<int64_t>(); }

Tensor counted(const Shape& s, int64_t first, DType t = DType::i64) {
  std::vector<int64_t> v(static_cast<size_t>(s.numel()));
  for (size_t i = 0; i < v.size(); ++i) v[i] = first + static_cast<int64_t>(i);
  return from(v, s, t);
}

TEST(Concat, AlongEveryAxisAndDtype) {
  for (DType t : {DType::i64, DType::f32, DType::bf16, DType::u8}) {
    const Tensor a = counted({2, 2}, 0, t), b = counted({2, 1}, 10, t), c = counted({1, 2}, 20, t);
    EXPECT_EQ(values(concat({a, b}, 1)), (std::vector<int64_t>{0, 1, 10, 2, 3, 11})) << to_string(t);
    EXPECT_EQ(values(concat({a, b}, -1)), (std::vector<int64_t>{0, 1, 10, 2, 3, 11})) << to_string(t);
    EXPECT_EQ(values(concat({c, a})), (std::vector<int64_t>{20, 21, 0, 1, 2, 3})) << to_string(t);
    EXPECT_EQ(concat({a}).shape(), a.shape());
  }
  EXPECT_EQ(concat({zeros({2, 0}), zeros({2, 3})}, 1).shape(), (Shape{2, 3}));
}

TEST(Slice, OfEveryAxis) {
  const Tensor x = counted({2, 3}, 0);
  EXPECT_EQ(values(slice(x, 1, 1, 3)), (std::vector<int64_t>{1, 2, 4, 5}));
  EXPECT_EQ(values(slice(x, 0, 1, 2)), (std::vector<int64_t>{3, 4, 5}));
  EXPECT_EQ(slice(x, 1, 2, 2).shape(), (Shape{2, 0}));
}

TEST(Pad2d, ZerosAround) {
  const Tensor y = pad2d(counted({1, 2, 1, 2}, 1), 1, 0, 0, 1);
  EXPECT_EQ(y.shape(), (Shape{1, 3, 2, 2}));
  EXPECT_EQ(values(y), (std::vector<int64_t>{0, 0, 0, 0, 1, 2, 0, 0, 3, 4, 0, 0}));
}

TEST(Concat, Errors) {
  const Tensor a = zeros({2, 2});
  EXPECT_ERROR(concat({}), "no tensors");
  EXPECT_ERROR(concat({a, zeros({3, 1})}, 1), "f32 [3, 1]");
  EXPECT_ERROR(concat({a, zeros({2, 2}, DType::bf16)}, 1), "bf16");
  EXPECT_ERROR(concat({a, zeros({2})}, 0), "agree");
  EXPECT_ERROR(concat({a}, 2), "axis 2");
  EXPECT_ERROR(slice(a, 1, 1, 3), "1 to 3");
  EXPECT_ERROR(slice(a, 1, 2, 1), "2 to 1");
  EXPECT_ERROR(slice(a, -3, 0, 1), "axis -3");
  EXPECT_ERROR(pad2d(a, 0, 0, 0, 0), "[N,H,W,C]");
  EXPECT_ERROR(pad2d(zeros({1, 1, 1, 1}), 0, -1, 0, 0), "negative");
}

TEST(Concat, OnlyWhatIsNeededGetsAGradient) {
  const Tensor a = full({1, 2}, 1), b = full({1, 2}, 2);
  b.requires_grad_();
  sum(square(concat({a, b}))).backward();
  EXPECT_FALSE(a.grad());
  EXPECT_EQ(b.grad().to_vector<float>(), (std::vector<float>{4, 4}));
}

}  // namespace
}  // namespace holt
