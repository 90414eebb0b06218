// A convolution with its frozen batch norm as epilogue: the same as the two ops, and the two ops where it must be.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "core/autocast.h"
#include "core/autograd.h"
#include "core/ops.h"
#include "nn/models/registry.h"
#include "nn/models/residual_blocks.h"
#include "tests/harness/expect_error.h"

namespace holt {
namespace {

struct Layer {
  Generator g{7};
  Tensor x = normal({2, 9, 9, 16}, 0, 1, g), w = normal({32, 3, 3, 16}, 0, 0.1, g);
  BatchNormWeights norm{normal({32}, 1, 0.3, g), normal({32}, 0, 1, g), normal({32}, 0, 1, g),
                        square(normal({32}, 1, 0.2, g))};
  Tensor residual = normal({2, 5, 5, 32}, 0, 1, g);

  Tensor both(bool relu, const Tensor& r) const {
    return batch_norm(conv2d(x, w, {}, {2, 1}), norm.weight, norm.bias, norm.running_mean, norm.running_var,
                      {.training = false, .eps = 1e-3, .relu = relu}, r);
  }
  Tensor folded(bool relu, const Tensor& r) const { return conv2d_batch_norm(x, w, {2, 1}, norm, 1e-3, relu, r); }
};

void expect_near(const Tensor& a, const Tensor& b, double tolerance) {
  ASSERT_EQ(to_string(a), to_string(b));
  const auto va = a.to_vector<double>(), vb = b.to_vector<double>();
  for (size_t i = 0; i < va.size(); ++i)
    ASSERT_TRUE(std::fabs(va[i] - vb[i]) <= tolerance * std::max(1.0, std::fabs(vb[i])))
        << i << ": " << va[i] << " and " << vb[i];
}

std::vector<std::string> ops_of(const std::function<void()>& f) {
  std::vector<std::string> names;
  const OpHook hook([&](const char* op, const std::vector<Tensor>&, const Tensor&) { names.emplace_back(op); });
  f();
  return names;
}

TEST(Conv2dBatchNorm, IsTheTwoOps) {
  const Layer l;
  for (const bool relu : {false, true})
    for (const Tensor& r : {Tensor{}, l.residual}) expect_near(l.folded(relu, r), l.both(relu, r), 1e-5);
  EXPECT_EQ(ops_of([&] { l.folded(true, l.residual); }), std::vector<std::string>{"conv2d_batch_norm"});
}

TEST(Conv2dBatchNorm, InAutocastToo) {
  const Layer l;
  const Autocast scope(DType::bf16);
  const Tensor r = l.residual.to(DType::bf16);
  // The two ops round the convolution to bf16 in between: a relative 2⁻⁸, of values up to four times the result's unit.
  expect_near(l.folded(true, r).to(DType::f32), l.both(true, r).to(DType::f32), 4.0 / 256);
}

TEST(Conv2dBatchNorm, IsTwoOpsWhereSomethingIsTrained) {
  const Layer l;
  const std::vector<std::string> two = {"conv2d", "batch_norm"};
  l.norm.weight.requires_grad_();
  EXPECT_EQ(ops_of([&] { l.folded(true, {}); }), two);
  sum(l.folded(true, l.residual)).backward();
  EXPECT_TRUE(l.norm.weight.grad().defined());
  const NoGrad scope;
  EXPECT_EQ(ops_of([&] { l.folded(true, {}); }), std::vector<std::string>{"conv2d_batch_norm"});
}

TEST(Conv2dBatchNorm, LeavesErrorsToTheTwoOps) {
  Layer l;
  EXPECT_ERROR(conv2d_batch_norm(l.x, l.w, {2, 1}, l.norm, 1e-5, false, l.x), "batch_norm: residual must");
  l.norm.running_var = zeros({31});
  EXPECT_ERROR(l.folded(false, {}), "batch_norm: running_var must be f32 [32]");
  EXPECT_ERROR(conv2d_batch_norm(l.x, zeros({32, 3, 3, 15}), {}, l.norm), "conv2d: weight must be");
}

TEST(Conv2dBatchNorm, MixesDtypesInAutocastOnly) {
  const Layer l;
  EXPECT_ERROR(conv2d_batch_norm(l.x, l.w.to(DType::bf16), {2, 1}, l.norm), "conv2d: weight must have the dtype");
  const Tensor narrow = conv2d_batch_norm(l.x.to(DType::bf16), l.w.to(DType::bf16), {2, 1}, l.norm);
  EXPECT_EQ(narrow.dtype(), DType::bf16);
  const Autocast scope(DType::bf16);
  const Tensor cast = conv2d_batch_norm(l.x, l.w, {2, 1}, l.norm);
  expect_near(cast.to(DType::f32), narrow.to(DType::f32), 4.0 / 256);
}

// A residual becomes the result only if it is given away, and nobody else can see its elements.
TEST(Conv2dBatchNorm, OverwritesOnlyWhatIsGivenAway) {
  const Layer l;
  const auto want = l.both(true, l.residual).to_vector<float>(), before = l.residual.to_vector<float>();
  const auto run = [&](Tensor residual) {
    return conv2d_batch_norm(l.x, l.w, {2, 1}, l.norm, 1e-3, true, std::move(residual));
  };
  Tensor own = l.residual.clone();
  const void* const memory = own.raw();
  const Tensor y = run(std::move(own));
  EXPECT_EQ(y.raw(), memory);
  expect_near(y, from(want, y.shape()), 1e-5);

  Tensor shared = l.residual.clone();
  const Tensor handle = shared, z = run(std::move(shared));
  EXPECT_NE(z.raw(), handle.raw());
  EXPECT_EQ(handle.to_vector<float>(), before);
  Tensor viewed = l.residual.clone();
  const Tensor view = viewed.detach();
  run(std::move(viewed));
  EXPECT_EQ(view.to_vector<float>(), before);

  // Memory of somebody else: a mapped file.
  std::vector<float> file = before;
  const auto owner = std::make_shared<int>(0);
  run(Tensor(std::make_shared<Storage>(file.data(), file.size() * sizeof(float), owner), 0, l.residual.shape(),
             DType::f32));
  EXPECT_EQ(file, before);
}

TEST(Conv2dBatchNorm, BlocksOverwriteOnlyWhatIsGivenAway) {
  Generator g(5);
  nn::Bottleneck block(64, 16, 1, g);
  block.eval();
  const NoGrad scope;
  Tensor x = normal({2, 6, 6, 64}, 0, 1, g);
  const auto before = x.to_vector<float>();
  const Tensor y = block(x);
  EXPECT_EQ(x.to_vector<float>(), before);
  const void* const memory = x.raw();
  const Tensor z = block(std::move(x));
  EXPECT_EQ(z.raw(), memory);
  EXPECT_EQ(z.to_vector<float>(), y.to_vector<float>());
}

// A whole network: the classes' logits with and without folding, which a Watch prevents.
TEST(Conv2dBatchNorm, InResNet) {
  Generator g(3);
  nn::ModelConfig c = nn::parse_model("resnet18");
  c.channels = 3, c.height = c.width = 32;
  const auto model = nn::make_model(c, g);
  const Tensor x = normal({2, 32, 32, 3}, 0, 1, g);
  const auto images = x.to_vector<float>();
  {
    const NoGrad scope;
    (*model)(x);  // running statistics that are not 0 and 1
  }
  model->eval();
  const NoGrad scope;
  Tensor one, other;
  const std::vector<std::string> ops = ops_of([&] { one = (*model)(x); });
  EXPECT_EQ(std::count(ops.begin(), ops.end(), "conv2d_batch_norm"), 20);
  EXPECT_EQ(std::count(ops.begin(), ops.end(), "batch_norm"), 0);
  const nn::Watch watch([](const nn::Module&, const Tensor&) {});
  const std::vector<std::string> apart = ops_of([&] { other = (*model)(x); });
  EXPECT_EQ(std::count(apart.begin(), apart.end(), "batch_norm"), 20);
  expect_near(one, other, 1e-4);
  EXPECT_EQ(x.to_vector<float>(), images);
}

}  // namespace
}  // namespace holt
