// What the ops of normalisation, softmax, loss and pooling check, keep and update. Their numbers are the cases' matter.
#include <gtest/gtest.h>

#include <cmath>

#include "core/autograd.h"
#include "core/ops.h"
#include "tests/harness/expect_error.h"
#include "tests/harness/tensors.h"

namespace holt {
namespace {

using test::ramp;

// ---- batch_norm ----

struct Norm {
  explicit Norm(int64_t channels, DType dtype = DType::f32, Device device = {})
      : w(full({channels}, 1.5, dtype, device)),
        b(full({channels}, 0.25, dtype, device)),
        mean(full({channels}, 0.5, dtype, device)),
        var(full({channels}, 2, dtype, device)) {}
  Tensor operator()(const Tensor& x, BatchNormOptions options = {}, const Tensor& residual = {}) const {
    return batch_norm(x, w, b, mean, var, options, residual);
  }
  Tensor w, b, mean, var;
};

TEST(BatchNormOp, NamesWhatIsWrong) {
  const Norm norm(4);
  EXPECT_ERROR(norm(ramp({4})), "batch_norm: x must be", "f32 [4] on cpu");
  EXPECT_ERROR(norm(ramp({3, 0})), "batch_norm: x must be", "f32 [3, 0]");
  EXPECT_ERROR(norm(ramp({3, 5})), "batch_norm: weight must be f32 [5] on cpu", "f32 [3, 5]", "got f32 [4]");
  EXPECT_ERROR(norm(ramp({3, 4}, DType::f64)), "batch_norm: weight must be f64 [4]", "got f32 [4]");
  EXPECT_ERROR(norm(ramp({3, 4}, DType::f32, Device::simt)), "batch_norm: weight must be f32 [4] on simt");
  EXPECT_ERROR(norm(full({3, 4}, 1, DType::i32)), "batch_norm: dtype i32 is not supported on cpu");
  Norm bad = norm;
  bad.b = Tensor{};
  EXPECT_ERROR(bad(ramp({3, 4})), "batch_norm: bias must be f32 [4]", "undefined");
  bad = norm;
  bad.mean = full({4}, 0, DType::bf16);
  EXPECT_ERROR(bad(ramp({3, 4})), "batch_norm: running_mean must be f32 [4]", "got bf16 [4]");
  bad = norm;
  bad.var = full({1, 4}, 1);
  EXPECT_ERROR(bad(ramp({3, 4})), "batch_norm: running_var must be f32 [4]", "got f32 [1, 4]");
  EXPECT_ERROR(norm(ramp({3, 4}), {}, ramp({4, 3})), "batch_norm: residual", "f32 [3, 4]", "got f32 [4, 3]");
  EXPECT_ERROR(norm(ramp({3, 4}), {}, ramp({3, 4}, DType::bf16)), "batch_norm: residual", "got bf16 [3, 4]");
  EXPECT_ERROR(norm(ramp({3, 4}), {.momentum = 1.5}), "batch_norm: momentum must be in 0 … 1, got 1.5");
  EXPECT_ERROR(norm(ramp({3, 4}), {.eps = -1}), "batch_norm: eps must not be negative, got -1");
}

TEST(BatchNormOp, TrainingNeedsTwoValuesForEachChannel) {
  for (Device device : {Device{Device::cpu}, Device{Device::simt}}) {
    const Norm norm(4, DType::f32, device);
    for (const Shape& shape : {Shape{1, 4}, Shape{0, 4}, Shape{1, 1, 1, 4}})
      EXPECT_ERROR(norm(ramp(shape, DType::f32, device)), "batch_norm: training needs more than one value");
    EXPECT_EQ(norm(ramp({1, 4}, DType::f32, device), {.training = false}).shape(), (Shape{1, 4}));
    EXPECT_EQ(norm(ramp({0, 4}, DType::f32, device), {.training = false}).shape(), (Shape{0, 4}));
    EXPECT_EQ(norm.mean.to_vector<float>(), std::vector<float>(4, 0.5f)) << "a refused call must change nothing";
  }
}

TEST(BatchNormOp, UpdatesRunningStatisticsInPlaceWithTheUnbiasedVariance) {
  for (Device device : {Device{Device::cpu}, Device{Device::simt}}) {
    const Norm norm(1, DType::f32, device);
    const Tensor x = from<float>({1, 2, 3, 6}, {4, 1}, DType::f32, device);  // mean 3, Σ (x − 3)² = 14
    const uint64_t before = norm.mean.storage()->version;
    norm(x, {.momentum = 0.25});
    EXPECT_FLOAT_EQ(float(norm.mean.item()), 0.75f * 0.5f + 0.25f * 3);
    EXPECT_FLOAT_EQ(float(norm.var.item()), 0.75f * 2 + 0.25f * 14 / 3);
    EXPECT_GT(norm.mean.storage()->version, before);
    EXPECT_GT(norm.var.storage()->version, 0u);
    const double mean = norm.mean.item();
    norm(x, {.training = false});
    EXPECT_EQ(norm.mean.item(), mean) << "inference must leave the running statistics as they are";
  }
}

TEST(BatchNormOp, SixteenBitInputsKeepFloatParameters) {
  for (DType dtype : {DType::bf16, DType::f16}) {
    const Norm norm(3);
    const Tensor x = ramp({8, 3}, dtype), w = norm.w;
    x.requires_grad_();
    w.requires_grad_();
    const Tensor y = norm(x, {.relu = true});
    EXPECT_EQ(y.dtype(), dtype);
    y.backward(full({8, 3}, 1, dtype));
    EXPECT_EQ(x.grad().dtype(), dtype);
    EXPECT_EQ(w.grad().dtype(), DType::f32);
  }
}

// A forward in evaluation mode, then one in training, which updates the running statistics, then the first one's
// backward: it must use the statistics that its forward used.
TEST(BatchNormOp, FrozenBackwardSurvivesALaterTrainingStep) {
  const Norm norm(3), same(3);
  const Tensor x = ramp({8, 3}), z = ramp({8, 3});
  x.requires_grad_();
  z.requires_grad_();
  const Tensor y = norm(x, {.training = false});
  norm(ramp({6, 3}));
  y.backward(full({8, 3}, 1));
  same(z, {.training = false}).backward(full({8, 3}, 1));
  EXPECT_EQ(x.grad().to_vector<float>(), z.grad().to_vector<float>());
}

// A frozen layer keeps its output, which the next layer keeps anyway, and not its input: writing to the input is legal.
TEST(BatchNormOp, FrozenLayerKeepsItsOutputOnly) {
  const Norm norm(3);
  const Tensor x = ramp({8, 3}), input = mul(x.requires_grad_(), 1.0);
  const Tensor y = norm(input, {.training = false, .relu = true});
  input.bump_version();
  EXPECT_NO_THROW(y.backward(full({8, 3}, 1), true));
  y.bump_version();
  EXPECT_ERROR(y.backward(full({8, 3}, 1)), "batch_norm");
}

TEST(BatchNormOp, TrainingNoticesThatItsInputWasWrittenTo) {
  const Norm norm(3);
  const Tensor x = ramp({8, 3}), input = mul(x.requires_grad_(), 1.0);
  const Tensor y = norm(input);
  input.bump_version();
  EXPECT_ERROR(y.backward(full({8, 3}, 1)), "batch_norm");
}

// ---- softmax ----

TEST(SoftmaxOp, NamesWhatIsWrong) {
  EXPECT_ERROR(softmax(full({}, 1)), "softmax: x must be [..., C]", "f32 []");
  EXPECT_ERROR(log_softmax(ramp({3, 0})), "log_softmax: x must be [..., C]", "f32 [3, 0]");
  EXPECT_ERROR(softmax(full({2, 3}, 1, DType::i64)), "softmax: dtype i64 is not supported on cpu");
  EXPECT_ERROR(log_softmax(ramp({2, 3}, DType::f64).to(Device{Device::simt})),
               "log_softmax: dtype f64 is not supported on simt");
  EXPECT_EQ(softmax(ramp({0, 3})).shape(), (Shape{0, 3}));
}

// ---- cross_entropy ----

Tensor labels_of(std::vector<int64_t> values, Device device = {}) {
  const int64_t n = static_cast<int64_t>(values.size());
  return from(values, {n}, DType::i64, device);
}

TEST(CrossEntropyOp, NamesWhatIsWrong) {
  const Tensor z = ramp({3, 4}), labels = labels_of({0, 1, 2});
  EXPECT_ERROR(cross_entropy(ramp({3}), labels), "cross_entropy: logits must be [N, C]", "f32 [3] on cpu");
  EXPECT_ERROR(cross_entropy(ramp({0, 4}), labels_of({})), "cross_entropy: logits must be [N, C]", "f32 [0, 4]");
  EXPECT_ERROR(cross_entropy(full({3, 4}, 1, DType::i32), labels), "cross_entropy: dtype i32");
  EXPECT_ERROR(cross_entropy(z, labels_of({0, 1})), "cross_entropy: labels must be i64 [3]", "f32 [3, 4]",
               "got i64 [2]");
  EXPECT_ERROR(cross_entropy(z, full({3}, 0, DType::i32)), "cross_entropy: labels must be i64 [3]", "got i32 [3]");
  EXPECT_ERROR(cross_entropy(z, labels_of({0, 1, 2}, Device::simt)), "labels must be i64 [3] on cpu", "on simt");
  EXPECT_ERROR(cross_entropy(z, labels, {.class_mask = full({3}, 1, DType::u8)}),
               "cross_entropy: class_mask must be u8 [4]", "got u8 [3]");
  EXPECT_ERROR(cross_entropy(z, labels, {.class_mask = full({4}, 1)}), "class_mask must be u8 [4]", "got f32 [4]");
  EXPECT_ERROR(cross_entropy(z, labels, {.label_smoothing = 1.5}), "label_smoothing must be in 0 … 1, got 1.5");
  EXPECT_ERROR(cross_entropy(z, labels, {.label_smoothing = std::nan("")}), "label_smoothing must be in 0 … 1");
}

TEST(CrossEntropyOp, BadLabelOnCpuIsAnErrorWithRowAndValue) {
  const Tensor z = ramp({3, 4}), mask = from<uint8_t>({1, 0, 1, 1}, {4});
  EXPECT_ERROR(cross_entropy(z, labels_of({0, 1, 4})), "cross_entropy: labels[2] is 4, outside 0 … 3");
  EXPECT_ERROR(cross_entropy(z, labels_of({0, -1, 2})), "cross_entropy: labels[1] is -1, outside 0 … 3");
  EXPECT_ERROR(cross_entropy(z, labels_of({0, 2, 1}), {.class_mask = mask}),
               "cross_entropy: labels[2] is 1, a class that class_mask excludes");
}

// A GPU cannot throw: the loss is NaN, and so is the gradient of the row, and of no other.
TEST(CrossEntropyOp, BadLabelOnGpuMakesLossAndRowNaN) {
  const Device device = Device::simt;
  const Tensor mask = from<uint8_t>({1, 0, 1, 1}, {4}, DType::u8, device);
  for (int64_t bad : {int64_t{4}, int64_t{-1}, int64_t{1}, INT64_MAX}) {
    const Tensor z = ramp({3, 4}, DType::f32, device);
    z.requires_grad_();
    const Tensor loss = cross_entropy(z, labels_of({0, bad, 2}, device), {.label_smoothing = 0.1, .class_mask = mask});
    EXPECT_TRUE(std::isnan(loss.item())) << bad;
    loss.backward();
    const std::vector<float> dz = z.grad().to_vector<float>();
    for (size_t i = 0; i < dz.size(); ++i) {
      if (i % 4 == 1)
        EXPECT_EQ(dz[i], 0) << "element " << i << ", of the class outside the mask";
      else
        EXPECT_EQ(std::isnan(dz[i]), i / 4 == 1) << "element " << i;
    }
  }
}

TEST(CrossEntropyOp, LossOfSixteenBitLogitsIsFloat) {
  const Tensor z = ramp({3, 4}, DType::bf16);
  z.requires_grad_();
  const Tensor loss = cross_entropy(z, labels_of({0, 1, 2}));
  EXPECT_EQ(loss.dtype(), DType::f32);
  EXPECT_EQ(loss.shape(), Shape{});
  loss.backward();
  EXPECT_EQ(z.grad().dtype(), DType::bf16);
}

TEST(CrossEntropyOp, SameBitsEveryTime) {
  for (Device device : {Device{Device::cpu}, Device{Device::simt}}) {
    const Tensor z = ramp({700, 9}, DType::f32, device);
    std::vector<int64_t> values(700);
    for (size_t i = 0; i < values.size(); ++i) values[i] = int64_t(i % 9);
    const Tensor labels = labels_of(values, device);
    const double first = cross_entropy(z, labels).item();
    for (int k = 0; k < 3; ++k) EXPECT_EQ(cross_entropy(z, labels).item(), first);
  }
}

// ---- Pooling ----

TEST(PoolOps, NameWhatIsWrong) {
  const Tensor x = ramp({2, 5, 6, 3});
  EXPECT_ERROR(max_pool2d(ramp({5, 6, 3}), 2), "max_pool2d: x must be [N, H, W, C], got f32 [5, 6, 3]");
  EXPECT_ERROR(max_pool2d(x, 0), "max_pool2d: kernel and stride must be at least 1, got 0 and 0");
  EXPECT_ERROR(avg_pool2d(x, 2, -1), "avg_pool2d: kernel and stride must be at least 1, got 2 and -1");
  EXPECT_ERROR(max_pool2d(x, 3, 1, 2), "max_pool2d: padding must be in 0 … kernel/2 = 1, got 2");
  EXPECT_ERROR(avg_pool2d(x, 3, 1, -1), "avg_pool2d: padding must be in 0 … kernel/2 = 1, got -1");
  EXPECT_ERROR(max_pool2d(x, 6), "max_pool2d: a window of 6×6 with padding 0 does not fit", "f32 [2, 5, 6, 3]");
  EXPECT_ERROR(max_pool2d(full({1, 4, 4, 2}, 0, DType::u8), 2), "max_pool2d: dtype u8 is not supported");
  EXPECT_ERROR(global_avg_pool(ramp({2, 3})), "global_avg_pool: x must be [N, H, W, C]", "f32 [2, 3]");
  EXPECT_ERROR(global_avg_pool(ramp({2, 0, 3, 4})), "global_avg_pool: x must be", "f32 [2, 0, 3, 4]");
  EXPECT_ERROR(global_avg_pool(full({1, 2, 2, 4}, 1, DType::i64)), "global_avg_pool: dtype i64 is not supported");
}

TEST(PoolOps, StrideZeroMeansKernel) {
  const Tensor x = ramp({2, 5, 6, 3});
  EXPECT_EQ(max_pool2d(x, 2).shape(), (Shape{2, 2, 3, 3}));
  EXPECT_EQ(avg_pool2d(x, 3).shape(), (Shape{2, 1, 2, 3}));
  EXPECT_EQ(max_pool2d(x, 3, 2, 1).shape(), (Shape{2, 3, 3, 3}));
}

}  // namespace
}  // namespace holt
