// What element-wise ops, reductions and permutations refuse, what they give for nothing, and that results do not depend
// on the number of threads.
#include <gtest/gtest.h>

#include "core/ops.h"
#include "kernels/parallel.h"

namespace holt {
namespace {

template <class F>
std::string message_of(F f) {
  try {
    f();
  } catch (const Error& e) { return e.message(); }
  return "nothing was thrown";
}

TEST(ElementwiseOps, MixedOperandsAreNamed) {
  const Tensor a = zeros({2, 3}), b = zeros({2, 3}, DType::bf16), c = zeros({2, 3}, DType::f32, Device::simt);
  EXPECT_EQ(message_of([&] { add(a, b); }),
            "add: both operands must have one dtype, got f32 [2, 3] on cpu and bf16 [2, 3] on cpu (see Tensor::to)");
  EXPECT_EQ(message_of([&] { div(a, c); }),
            "div: both operands must be on one device, got f32 [2, 3] on cpu and f32 [2, 3] on simt (see Tensor::to)");
  EXPECT_EQ(message_of([&] { mul(a, zeros({2})); }), "mul: shapes [2, 3] and [2] do not broadcast");
  EXPECT_NE(message_of([&] { exp(zeros({2}, DType::i64)); }).find("exp: dtype i64 is not supported"),
            std::string::npos);
}

TEST(ElementwiseOps, AxesAreChecked) {
  const Tensor x = zeros({2, 3});
  EXPECT_EQ(message_of([&] { sum(x, {2}); }), "sum: axis 2 is out of range for [2, 3]");
  EXPECT_EQ(message_of([&] { mean(x, {0, -2}); }), "mean: axis -2 of [2, 3] is named twice");
  EXPECT_EQ(message_of([&] { argmax(x, -3); }), "argmax: axis -3 is out of range for f32 [2, 3] on cpu");
  EXPECT_EQ(message_of([&] { permute(x, {0}); }), "permute: 1 axes for f32 [2, 3] on cpu");
  EXPECT_EQ(message_of([&] { permute(x, {0, 0}); }), "permute: axis 0 of f32 [2, 3] on cpu is named twice");
  EXPECT_EQ(message_of([&] { transpose(x, 0, 2); }), "transpose: axis 2 is out of range for f32 [2, 3] on cpu");
}

TEST(ElementwiseOps, OfNothing) {
  EXPECT_EQ(sum(zeros({0, 3})).item(), 0);
  EXPECT_EQ(sum(zeros({0, 3}), {0}).to_vector<float>(), (std::vector<float>{0, 0, 0}));
  EXPECT_EQ(mean(zeros({0, 3}), {1}).shape(), Shape{0});
  EXPECT_EQ(message_of([] { mean(zeros({0, 3}), {0}); }), "mean: f32 [0, 3] on cpu has no elements along the axes");
  EXPECT_EQ(message_of([] { max(zeros({3, 0}), 1); }), "max: f32 [3, 0] on cpu has no elements along axis 1");
  EXPECT_EQ(max(zeros({3, 0}), 0).second.shape(), Shape{0});
}

TEST(ElementwiseOps, SumsOf16BitTypesAreFloats) {
  EXPECT_EQ(sum(full({1000}, 1, DType::bf16)).item(), 1000);  // a bf16 sum would stop at 256
  EXPECT_EQ(mean(full({4}, 1, DType::f16)).dtype(), DType::f32);
  EXPECT_EQ(max(full({4}, 1, DType::f16), 0).first.dtype(), DType::f16);
}

TEST(ElementwiseOps, ThreadsDoNotChangeSums) {
  Generator g(1);
  const Tensor x = normal({3, 70001, 5}, 0, 1, g);
  for (const std::vector<int>& axes : {std::vector<int>{}, {0}, {1}, {1, 2}, {0, 1}}) {
    const auto many = sum(x, axes).to_vector<float>();
    const ThreadLimit one(1);
    EXPECT_EQ(sum(x, axes).to_vector<float>(), many);
  }
}

}  // namespace
}  // namespace holt
