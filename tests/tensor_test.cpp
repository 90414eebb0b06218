// Shapes, storages, tensors: what they hold, what they refuse, and that the refusal says why.
#include "core/tensor.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/autograd.h"
#include "kernels/memory.h"
#include "tests/harness/expect_error.h"

namespace holt {
namespace {

constexpr int64_t kHuge = int64_t{1} << 40;

TEST(Shape, CountsAndPrints) {
  EXPECT_EQ(Shape{}.numel(), 1);
  EXPECT_EQ(Shape{}.rank(), 0);
  EXPECT_EQ(Shape({2, 3, 4}).numel(), 24);
  EXPECT_EQ(Shape({2, 3, 4})[-1], 4);
  EXPECT_EQ(Shape({2, 3, 4}).product(1, 3), 12);
  EXPECT_EQ(Shape({2, 3, 4}).product(1, 1), 1);
  EXPECT_EQ(to_string(Shape{}), "[]");
  EXPECT_EQ(to_string(Shape{2, 3}), "[2, 3]");
  EXPECT_NE(Shape({2, 3}), Shape({2, 3, 1}));
  EXPECT_NE(Shape({2, 3}), Shape({3, 2}));
}

TEST(Shape, RefusesNonsense) {
  EXPECT_ERROR(Shape({1, 2, 3, 4, 5, 6, 7, 8, 9}), "at most 8 axes, got 9");
  EXPECT_ERROR(Shape({2, -2}), "size -2 of axis 1 is negative");
  EXPECT_ERROR(Shape({2, 3})[2], "axis 2 is out of range for [2, 3]");
  EXPECT_ERROR(Shape({2, 3})[-3], "axis -3 is out of range for [2, 3]");
  EXPECT_ERROR(Shape({2, -1}).numel(), "[2, -1] has an open size (-1)");
  EXPECT_ERROR(Shape({2, 3}).product(0, 3), "axes [0, 3) are out of range");
  Shape s{2, 3};
  EXPECT_ERROR(s.set(0, -1), "size -1 of axis 0 is negative");
}

TEST(Shape, AProductThatOverflowsIsAnErrorUnlessAnAxisIsEmpty) {
  EXPECT_ERROR(Shape({kHuge, kHuge}).numel(), "more elements than an int64 can count");
  EXPECT_EQ(Shape({kHuge, kHuge, 0}).numel(), 0);
  EXPECT_EQ(Shape({0, kHuge, kHuge}).numel(), 0);
  EXPECT_ERROR(empty({kHuge, 1 << 21}, DType::f64), "more bytes than an int64 can count");
}

TEST(Shape, BroadcastsAsNumPy) {
  EXPECT_EQ(broadcast("add", {2, 3}, {3}), Shape({2, 3}));
  EXPECT_EQ(broadcast("add", {2, 1, 4}, {3, 1}), Shape({2, 3, 4}));
  EXPECT_EQ(broadcast("add", {}, {2}), Shape({2}));
  EXPECT_EQ(broadcast("add", {1}, {0}), Shape({0}));
  EXPECT_ERROR(broadcast("add", {2, 3}, {4}), "add: shapes [2, 3] and [4] do not broadcast");
  EXPECT_ERROR(broadcast("add", {2}, {0}), "do not broadcast");
}

TEST(Tensor, UndefinedSaysSo) {
  const Tensor t;
  EXPECT_FALSE(t);
  EXPECT_EQ(to_string(t), "undefined");
  EXPECT_ERROR(t.shape(), "shape: the tensor is undefined");
  EXPECT_ERROR(t.backward(), "backward: the tensor is undefined");
  EXPECT_ERROR(t.reshape({1}), "the tensor is undefined");
}

TEST(Tensor, PrintsItsDtypeShapeAndDevice) { EXPECT_EQ(to_string(zeros({2, 3})), "f32 [2, 3] on cpu"); }

TEST(Tensor, MustFitInItsStorage) {
  const auto storage = std::make_shared<Storage>(Device{}, 24);
  EXPECT_NO_THROW(Tensor(storage, 2, {4}, DType::f32));
  EXPECT_ERROR(Tensor(storage, 3, {4}, DType::f32), "f32 [4] at element 3 does not fit in a storage of 24 bytes");
  EXPECT_ERROR(Tensor(storage, -1, {1}, DType::f32), "does not fit");
  EXPECT_ERROR(Tensor(storage, 0, {kHuge}, DType::f32), "does not fit");
  EXPECT_ERROR(Tensor(nullptr, 0, {1}, DType::f32), "no storage");
}

TEST(Tensor, DataRefusesAnotherDtype) { EXPECT_ERROR(zeros({2}).data<double>(), "the tensor holds f32, not f64"); }

TEST(Tensor, FromAndToVectorConvert) {
  const std::vector<double> values{0, 1, -2, 3.5, 65504};
  for (DType d : {DType::f32, DType::f16, DType::f64})
    EXPECT_EQ(from(values, {5}, d).to_vector<double>(), values) << to_string(d);
  EXPECT_EQ(from(std::vector<float>{1.00390625f}, {1}, DType::bf16).item(), 1.0);  // a tie goes to even
  EXPECT_EQ(from(std::vector<float>{1.01171875f}, {1}, DType::bf16).item(), 1.015625);
  for (DType d : {DType::i64, DType::i32, DType::u8})
    EXPECT_EQ(from(std::vector<double>{0, 7, 255}, {3}, d).to_vector<int32_t>(), (std::vector<int32_t>{0, 7, 255}));
  const int64_t big = (int64_t{1} << 53) + 1;  // not a double
  EXPECT_EQ(from(std::vector<int64_t>{big}, {1}).to_vector<int64_t>()[0], big);
  EXPECT_TRUE(std::isnan(full({}, std::nan("")).item()));
}

TEST(Tensor, FromRefusesWhatTheDtypeCannotHold) {
  EXPECT_ERROR(from(std::vector<float>{1, 2}, {3}), "2 values do not fill [3]");
  EXPECT_ERROR(from(std::vector<double>{1, 1.5}, {2}, DType::i64), "element 1 is 1.5, which i64 cannot hold");
  EXPECT_ERROR(from(std::vector<double>{256}, {1}, DType::u8), "element 0 is 256, which u8 cannot hold");
  EXPECT_ERROR(from(std::vector<int64_t>{-1}, {1}, DType::u8), "which u8 cannot hold");
  EXPECT_ERROR(from(std::vector<int64_t>{int64_t{1} << 31}, {1}, DType::i32), "which i32 cannot hold");
  EXPECT_ERROR(from(std::vector<double>{0x1p63}, {1}, DType::i64), "which i64 cannot hold");
  EXPECT_EQ(from(std::vector<double>{-0x1p63}, {1}, DType::i64).to_vector<int64_t>()[0],
            std::numeric_limits<int64_t>::min());
  EXPECT_ERROR(from(std::vector<double>{std::nan("")}, {1}, DType::i32), "which i32 cannot hold");
  EXPECT_ERROR(full({2}, 0.5, DType::u8), "which u8 cannot hold");
  EXPECT_ERROR(from(std::vector<float>{2.5f}, {1}).to_vector<int64_t>(), "to_vector: element 0 is 2.5");
}

TEST(Tensor, FullAndZerosFill) {
  EXPECT_EQ(full({2, 2}, 3, DType::bf16).to_vector<float>(), std::vector<float>(4, 3));
  EXPECT_EQ(zeros({3}, DType::u8).to_vector<uint8_t>(), std::vector<uint8_t>(3));
  EXPECT_EQ(zeros({0, 5}).numel(), 0);
  EXPECT_TRUE(zeros({0, 5}).to_vector<float>().empty());
  EXPECT_EQ(full({}, 4, DType::i64).item(), 4);
}

TEST(Tensor, ItemNeedsOneElement) {
  EXPECT_EQ(full({1, 1}, 7).item(), 7);
  EXPECT_ERROR(zeros({2}).item(), "needs a tensor of one element, got f32 [2] on cpu");
  EXPECT_ERROR(zeros({0}).item(), "needs a tensor of one element");
}

TEST(Tensor, ReshapeIsAView) {
  const Tensor x = from(std::vector<float>{0, 1, 2, 3, 4, 5}, {2, 3});
  const Tensor y = x.reshape({3, -1});
  EXPECT_EQ(y.shape(), Shape({3, 2}));
  EXPECT_EQ(y.raw(), x.raw());
  EXPECT_EQ(x.reshape({-1}).shape(), Shape({6}));
  EXPECT_EQ(full({1}, 2).reshape({}).shape(), Shape{});
  EXPECT_EQ(zeros({0, 3}).reshape({3, -1}).shape(), Shape({3, 0}));
  EXPECT_ERROR(x.reshape({4, 2}), "reshape: [2, 3] has 6 elements, [4, 2] has 8");
  EXPECT_ERROR(x.reshape({-1, -1}), "only one size may be -1");
  EXPECT_ERROR(x.reshape({4, -1}), "[2, 3] to [4, -1]: no size fits the -1");
  EXPECT_ERROR(x.reshape({0, -1}), "no size fits the -1");
  EXPECT_ERROR(x.reshape({kHuge, kHuge, -1}), "more elements than an int64 can count");
}

TEST(Tensor, NarrowIsAView) {
  const Tensor x = from(std::vector<float>{0, 1, 2, 3, 4, 5}, {3, 2});
  const Tensor y = x.narrow(1, 2);
  EXPECT_EQ(y.to_vector<float>(), (std::vector<float>{2, 3, 4, 5}));
  EXPECT_EQ(y.narrow(1, 1).to_vector<float>(), (std::vector<float>{4, 5}));
  EXPECT_EQ(x.narrow(3, 0).shape(), Shape({0, 2}));
  y.data<float>()[0] = 9;
  EXPECT_EQ(x.to_vector<float>()[2], 9);
  EXPECT_ERROR(x.narrow(2, 2), "narrow: rows [2, 2 + 2) are out of range for f32 [3, 2] on cpu");
  EXPECT_ERROR(x.narrow(-1, 1), "out of range");
  EXPECT_ERROR(x.narrow(1, -1), "out of range");
  EXPECT_ERROR(x.narrow(1, std::numeric_limits<int64_t>::max()), "out of range");
  EXPECT_ERROR(zeros({}).narrow(0, 1), "a scalar has no rows");
}

TEST(Tensor, StorageOfSomebodyElseLivesAsLongAsATensorOnIt) {
  auto owner = std::make_shared<std::vector<float>>(std::vector<float>{1, 2, 3});
  const std::weak_ptr<std::vector<float>> watch = owner;
  Tensor t(std::make_shared<Storage>(owner->data(), 12, owner), 0, {3}, DType::f32);
  owner.reset();
  EXPECT_EQ(t.to_vector<float>(), (std::vector<float>{1, 2, 3}));
  EXPECT_FALSE(watch.expired());
  t = {};
  EXPECT_TRUE(watch.expired());
  EXPECT_ERROR(Storage(&t, 4, nullptr), "needs its owner");
}

TEST(Tensor, MemoryGoesBackWithTheLastTensor) {
  const size_t before = memory_stats(Device{}).current;
  {
    const Tensor a = zeros({1000}), view = a.narrow(10, 5), copy = a;
    EXPECT_GE(memory_stats(Device{}).current, before + 4000);
  }
  EXPECT_EQ(memory_stats(Device{}).current, before);
}

}  // namespace
}  // namespace holt
