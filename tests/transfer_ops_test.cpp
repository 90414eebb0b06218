// What the ops of transfer — projective_sample, kl_divergence — check and keep. Their numbers are the cases' matter.
#include <gtest/gtest.h>

#include <cmath>

#include "core/autograd.h"
#include "core/ops.h"
#include "kernels/parallel.h"
#include "tests/harness/expect_error.h"
#include "tests/harness/tensors.h"

namespace holt {
namespace {

using test::ramp;

Tensor camera() {
  return from<float>({-0.0708f, -0.1975f, 0.031f, 0.1975f, -0.0708f, -0.0173f, 0.1013f, -0.0707f}, {8});
}

TEST(ProjectiveSampleOp, NamesWhatIsWrong) {
  const Tensor x = ramp({2, 4, 5, 3}), theta = zeros({8});
  EXPECT_ERROR(projective_sample(ramp({4, 5, 3}), theta), "projective_sample: x must be [N, H, W, C]");
  EXPECT_ERROR(projective_sample(ramp({2, 0, 5, 3}), theta), "H and W of at least 1, got f32 [2, 0, 5, 3] on cpu");
  EXPECT_ERROR(projective_sample(x, zeros({2, 8})), "projective_sample: theta must be f32 [8] on cpu");
  EXPECT_ERROR(projective_sample(x, zeros({8}, DType::f64)), "got f64 [8]");
  EXPECT_ERROR(projective_sample(x, zeros({8}, DType::f32, Device::simt)), "got f32 [8] on simt");
  EXPECT_ERROR(projective_sample(x, {}), "projective_sample: theta must be f32 [8]");
  EXPECT_ERROR(projective_sample(full({1, 4, 4, 1}, 1, DType::i32), theta), "dtype i32");
}

TEST(ProjectiveSampleOp, ThetaOfZeroGivesTheImage) {
  const Tensor x = ramp({2, 7, 9, 3}), theta = zeros({8});
  EXPECT_EQ(projective_sample(x, theta).to_vector<float>(), x.to_vector<float>());
}

TEST(ProjectiveSampleOp, ResultsDoNotDependOnTheNumberOfThreads) {
  const auto gradients = [](int threads) {
    const ThreadLimit limit(threads);
    const Tensor x = ramp({8, 33, 31, 3}), theta = camera();
    x.requires_grad_(true);
    theta.requires_grad_(true);
    const Tensor y = projective_sample(x, theta);
    y.backward(ramp(y.shape()));
    std::vector<float> all = y.to_vector<float>();
    for (const Tensor& t : {x.grad(), theta.grad()})
      for (float v : t.to_vector<float>()) all.push_back(v);
    return all;
  };
  EXPECT_EQ(gradients(1), gradients(4));
}

TEST(ProjectiveSampleOp, AFrozenThetaKeepsNoImage) {
  const Tensor x = ramp({1, 4, 4, 2}), theta = camera();
  x.requires_grad_(true);
  const Tensor image = mul(x, 2), y = projective_sample(image, theta);
  image.bump_version();  // were it saved, the backward would refuse
  y.backward(ramp(y.shape()));
  EXPECT_FALSE(theta.grad());
  EXPECT_EQ(x.grad().shape(), x.shape());
}

TEST(KlDivergenceOp, NamesWhatIsWrong) {
  const Tensor z = ramp({3, 4});
  EXPECT_ERROR(kl_divergence(ramp({3}), ramp({3})), "kl_divergence: logits must be [N, C]");
  EXPECT_ERROR(kl_divergence(ramp({0, 4}), ramp({0, 4})), "kl_divergence: logits must be [N, C], neither of them 0");
  EXPECT_ERROR(kl_divergence(ramp({3, 5}), z), "teacher must be like logits f32 [3, 4] on cpu, got f32 [3, 5]");
  EXPECT_ERROR(kl_divergence(ramp({3, 4}, DType::f64), z), "got f64 [3, 4]");
  EXPECT_ERROR(kl_divergence(ramp({3, 4}, DType::f32, Device::simt), z), "got f32 [3, 4] on simt");
  EXPECT_ERROR(kl_divergence({}, z), "got undefined");
  EXPECT_ERROR(kl_divergence(z, z, 0), "temperature must be positive, got 0");
  EXPECT_ERROR(kl_divergence(z, z, std::nan("")), "temperature must be positive");
  EXPECT_ERROR(kl_divergence(z, z, 1, full({3}, 1, DType::u8)), "class_mask must be u8 [4]");
  EXPECT_ERROR(kl_divergence(z, z, 1, full({4}, 1)), "class_mask must be u8 [4] on cpu");
  EXPECT_ERROR(kl_divergence(z, z, 1, full({4}, 0, DType::u8)), "class_mask excludes all 4 classes");
  const Tensor trained = ramp({3, 4});
  trained.requires_grad_(true);
  EXPECT_ERROR(kl_divergence(trained, z), "requires a gradient, but is a constant here: detach it");
}

TEST(KlDivergenceOp, AMaskWithoutAClassIsNaNOnAGpu) {
  const Tensor z = ramp({3, 4}, DType::f32, Device::simt);
  const Tensor loss = kl_divergence(z, z, 1, full({4}, 0, DType::u8, Device::simt));
  EXPECT_TRUE(std::isnan(loss.to_vector<float>()[0]));
}

TEST(KlDivergenceOp, OfTheTeacherItselfIsExactlyZeroAndSoIsItsGradient) {
  for (Device device : {Device{Device::cpu}, Device{Device::simt}}) {
    const Tensor teacher = ramp({5, 62}, DType::f32, device), logits = ramp({5, 62}, DType::f32, device);
    logits.requires_grad_(true);
    const Tensor loss = kl_divergence(teacher, logits, 3);
    loss.backward();
    EXPECT_EQ(loss.to_vector<float>()[0], 0);
    for (float g : logits.grad().to_vector<float>()) EXPECT_EQ(g, 0);
  }
}

}  // namespace
}  // namespace holt
