// core/autocast.h: its table, op by op; the kept copies of weights; scopes. Training in it: mixed_precision_test.cpp.
#include "core/autocast.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "core/autograd.h"
#include "core/ops.h"
#include "kernels/memory.h"
#include "nn/layers.h"
#include "nn/optim.h"
#include "nn/sequential.h"
#include "tests/harness/expect_error.h"

namespace holt {
namespace {

constexpr DType kNarrow[] = {DType::bf16, DType::f16};
constexpr Device kDevices[] = {Device::cpu, Device::simt};

Tensor values(Shape shape, uint64_t seed, DType t = DType::f32, Device d = {}, double low = -1, double high = 1) {
  Generator g(seed);
  return uniform(shape, low, high, g, DType::f32).to(t).to(d);
}

// ‖a − b‖ / ‖b‖ over all elements; NaN if anything is not finite.
double apart(const Tensor& a, const Tensor& b) {
  const std::vector<double> x = a.to_vector<double>(), y = b.to_vector<double>();
  double difference = 0, size = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    difference += (x[i] - y[i]) * (x[i] - y[i]);
    size += y[i] * y[i];
  }
  return std::sqrt(difference / size);
}

using Op = std::function<Tensor(const std::vector<Tensor>&)>;

struct Row {
  const char* name;
  Op op;
  std::vector<Shape> shapes;
  std::vector<DType> inputs;
  DType result;
};

// One row of the header's table: the dtypes, the numbers, and the gradients' dtypes. The numbers are held to a double's
// on the inputs as they are; products of rounded inputs and rounded results are off by two roundings each, which add up
// like random numbers.
void check_row(const Row& row, DType p, Device d, double condition = 1) {
  SCOPED_TRACE(format("{} in {} on {}", row.name, p, d));
  std::vector<Tensor> in, exact;
  for (size_t i = 0; i < row.shapes.size(); ++i) {
    // Away from 0, so that quotients are tame.
    in.push_back(values(row.shapes[i], 10 + i, row.inputs[i], d, 0.25, 1.25).requires_grad_());
    exact.push_back(in.back().to(Device::cpu).detach().to(DType::f64).requires_grad_());
  }
  const Autocast scope(p);
  const Tensor y = row.op(in), z = row.op(exact);
  EXPECT_EQ(y.dtype(), row.result);
  EXPECT_EQ(z.dtype(), DType::f64);
  const double tolerance = 3 * epsilon(p);
  EXPECT_LE(apart(y, z), tolerance);
  y.backward(full(y.shape(), 1, y.dtype(), d));
  z.backward(full(z.shape(), 1, DType::f64));
  for (size_t i = 0; i < in.size(); ++i) {
    ASSERT_TRUE(in[i].grad().defined()) << "input " << i;
    EXPECT_EQ(in[i].grad().dtype(), row.inputs[i]) << "input " << i;
    EXPECT_LE(apart(in[i].grad(), exact[i].grad()), condition * tolerance) << "input " << i;
  }
}

Tensor statistic(double value, int64_t channels, const Tensor& like) {
  return full({channels}, value, like.dtype() == DType::f64 ? DType::f64 : DType::f32, like.device());
}

TEST(AutocastTable, ComputeBoundOps) {
  const Op conv = [](const auto& t) { return conv2d(t[0], t[1], t[2], {.stride = 1, .padding = 1}); };
  const Op lin = [](const auto& t) { return linear(t[0], t[1], t[2], Activation::gelu); };
  const Op product = [](const auto& t) { return matmul(t[0], t[1], false, true); };
  const Op attend = [](const auto& t) { return attention(t[0], t[1], t[2]); };
  const Op attend_one = [](const auto& t) { return attention(t[0]); };
  for (Device d : kDevices)
    for (DType p : kNarrow)
      for (DType x : {DType::f32, p, p == DType::bf16 ? DType::f16 : DType::bf16}) {
        const DType f = DType::f32;
        check_row({"conv2d", conv, {{2, 5, 6, 3}, {4, 3, 3, 3}, {4}}, {x, f, f}, p}, p, d);
        check_row({"linear", lin, {{2, 3, 17}, {9, 17}, {9}}, {x, f, f}, p}, p, d);
        check_row({"matmul", product, {{3, 5, 7}, {3, 4, 7}}, {x, f}, p}, p, d);
        check_row({"matmul", product, {{3, 5, 7}, {4, 7}}, {f, x}, p}, p, d);
        // dq and dk are differences twice over: dP, 8·¾ = 6, less its mean leaves √8·0.29 = 0.8; and the rows of k, ¾
        // each, weighted by numbers that add up to 0, leave 0.29. So they amplify by 6/0.8·0.75/0.29 ≈ 20.
        check_row({"attention", attend, {{1, 5, 2, 8}, {1, 7, 2, 8}, {1, 7, 2, 8}}, {x, f, f}, p}, p, d, 20);
        check_row({"attention", attend_one, {{1, 5, 3, 2, 8}}, {x}, p}, p, d, 20);
      }
}

TEST(AutocastTable, Normalisations) {
  const auto bn = [](bool residual) {
    return [=](const std::vector<Tensor>& t) {
      return batch_norm(t[0], t[1], t[2], statistic(0.5, 5, t[0]), statistic(1, 5, t[0]), {.relu = true},
                        residual ? t[3] : Tensor{}) *
             square(t[0]);  // the sum of normalised values has no gradient
    };
  };
  const Op ln = [](const auto& t) { return layer_norm(t[0], t[1], t[2]) * square(t[0]); };
  for (Device d : kDevices)
    for (DType p : kNarrow)
      for (DType x : {DType::f32, p}) {
        const DType f = DType::f32;
        check_row({"batch_norm", bn(false), {{4, 3, 3, 5}, {5}, {5}}, {x, f, f}, x}, p, d);
        check_row({"batch_norm", bn(true), {{4, 3, 3, 5}, {5}, {5}, {4, 3, 3, 5}}, {x, f, f, f}, x}, p, d);
        check_row({"batch_norm", bn(true), {{4, 3, 3, 5}, {5}, {5}, {4, 3, 3, 5}}, {x, f, f, p}, x}, p, d);
        check_row({"layer_norm", ln, {{6, 33}, {33}, {33}}, {x, f, f}, x}, p, d);
      }
}

TEST(AutocastTable, SoftmaxLossesReductions) {
  const Op soft = [](const auto& t) { return softmax(t[0]) * square(t[0]); };
  const Op log_soft = [](const auto& t) { return log_softmax(t[0]) * square(t[0]); };
  const Op loss = [](const auto& t) {
    return cross_entropy(t[0], from(std::vector<int64_t>{0, 3, 2}, {3}).to(t[0].device()));
  };
  const Op divergence = [](const auto& t) {  // a f32 teacher
    const DType dtype = t[0].dtype() == DType::f64 ? DType::f64 : DType::f32;
    return kl_divergence(values({3, 4}, 99, dtype, t[0].device(), -2, 2), t[0], 2);
  };
  const Op total = [](const auto& t) { return sum(t[0], {1}); };
  const Op average = [](const auto& t) { return mean(t[0], {0}); };
  for (Device d : kDevices)
    for (DType p : kNarrow)
      for (DType x : {DType::f32, p}) {
        check_row({"softmax", soft, {{3, 4}}, {x}, x}, p, d);
        check_row({"log_softmax", log_soft, {{3, 4}}, {x}, x}, p, d);
        check_row({"cross_entropy", loss, {{3, 4}}, {x}, DType::f32}, p, d);
        check_row({"kl_divergence", divergence, {{3, 4}}, {x}, DType::f32}, p, d);
        check_row({"sum", total, {{3, 4}}, {x}, DType::f32}, p, d);
        check_row({"mean", average, {{3, 4}}, {x}, DType::f32}, p, d);
      }
}

TEST(AutocastTable, Elementwise) {
  const std::pair<const char*, Op> two[] = {
      {"add", [](const auto& t) { return t[0] + t[1]; }},
      {"sub", [](const auto& t) { return t[0] - t[1] * -1.0; }},
      {"mul", [](const auto& t) { return t[0] * t[1]; }},
      {"div", [](const auto& t) { return t[0] / t[1]; }},
  };
  for (Device d : kDevices)
    for (DType p : kNarrow)
      for (const auto& [name, op] : two) {
        const DType f = DType::f32, other = p == DType::bf16 ? DType::f16 : DType::bf16;
        const std::vector<Shape> shapes = {{3, 1, 5}, {4, 5}};
        check_row({name, op, shapes, {p, p}, p}, p, d);
        check_row({name, op, shapes, {f, f}, f}, p, d);
        check_row({name, op, shapes, {p, f}, f}, p, d);
        check_row({name, op, shapes, {f, p}, f}, p, d);
        check_row({name, op, shapes, {p, other}, f}, DType::bf16, d);
      }
}

TEST(AutocastTable, EverythingElseKeepsItsDtype) {
  const std::pair<const char*, Op> one[] = {
      {"relu", [](const auto& t) { return relu(t[0]); }},
      {"gelu", [](const auto& t) { return gelu(t[0]); }},
      {"silu", [](const auto& t) { return silu(t[0]); }},
      {"exp", [](const auto& t) { return exp(t[0]); }},
      {"scalar", [](const auto& t) { return t[0] * 0.3 + 2; }},
      {"max_pool2d", [](const auto& t) { return max_pool2d(t[0], 2); }},
      {"avg_pool2d", [](const auto& t) { return avg_pool2d(t[0], 2); }},
      {"global_avg_pool", [](const auto& t) { return global_avg_pool(t[0]); }},
      {"permute",
       [](const auto& t) {
         return permute(t[0], {0, 3, 1, 2});
       }},
      {"reshape",
       [](const auto& t) {
         return t[0].reshape({2, -1});
       }},
      {"clone", [](const auto& t) { return t[0].clone(); }},
      {"max", [](const auto& t) { return max(t[0], -1).first; }},
  };
  for (Device d : kDevices)
    for (DType p : kNarrow)
      for (const auto& [name, op] : one)
        for (DType x : {DType::f32, p}) check_row({name, op, {{2, 4, 4, 3}}, {x}, x}, p, d);
}

TEST(Autocast, F64IsNeverCast) {
  const Autocast scope(DType::bf16);
  const Tensor x = values({2, 3}, 1, DType::f64), w = values({4, 3}, 2, DType::f64), narrow = values({4, 3}, 2);
  EXPECT_EQ(linear(x, w).dtype(), DType::f64);
  EXPECT_NEAR(apart(linear(x, w), matmul(x, transpose(w, 0, 1))), 0, 1e-15);
  EXPECT_ERROR((linear(x, narrow)), "linear: weight must have the dtype");
  EXPECT_ERROR((x + values({2, 3}, 1)), "add: both operands must have one dtype");
  EXPECT_ERROR((cross_entropy(x, from(std::vector<int64_t>{0, 1}, {2}).to(DType::f64))), "f64");
}

TEST(Autocast, ScopesNestAndEnd) {
  const Tensor x = values({2, 3}, 1), w = values({4, 3}, 2), narrow = x.to(DType::bf16);
  EXPECT_EQ(autocast_dtype(), DType::f32);
  EXPECT_EQ(linear(x, w).dtype(), DType::f32);
  EXPECT_ERROR((linear(narrow, w)), "linear: weight must have the dtype");
  EXPECT_ERROR((x * narrow), "mul: both operands must have one dtype");
  {
    const Autocast outer(DType::bf16);
    EXPECT_EQ(linear(x, w).dtype(), DType::bf16);
    {
      const Autocast inner(DType::f16);
      EXPECT_EQ(linear(x, w).dtype(), DType::f16);
      {
        const Autocast off(DType::f32);
        EXPECT_EQ(linear(x, w).dtype(), DType::f32);
        EXPECT_ERROR((linear(narrow, w)), "linear: weight must have the dtype");
        EXPECT_EQ(linear(widened(narrow), w).dtype(), DType::f32);
      }
      EXPECT_EQ(autocast_dtype(), DType::f16);
    }
    EXPECT_EQ(linear(x, w).dtype(), DType::bf16);
    try {
      const Autocast inner(DType::f16);
      fail("on its way out");
    } catch (const Error&) {}
    EXPECT_EQ(autocast_dtype(), DType::bf16);
  }
  EXPECT_EQ(autocast_dtype(), DType::f32);
  for (DType t : {DType::f64, DType::i64, DType::u8})
    EXPECT_ERROR(Autocast{t}, "autocast: the precision must be f32, bf16 or f16");
  EXPECT_EQ(linear(x, w).dtype(), DType::f32);
}

TEST(Autocast, TheBackwardIsTheForwardsWhereverItIsCalled) {
  const auto gradients = [](bool inside) {
    const Tensor x = values({5, 3}, 1).requires_grad_(), w = values({4, 3}, 2).requires_grad_(),
                 k = values({5, 4}, 3).requires_grad_();
    Tensor loss;
    {
      const Autocast scope(DType::bf16);
      loss = mean(square(linear(x, w) / k * k + k));
      if (inside) loss.backward();
    }
    const Autocast other(DType::f16);
    if (!inside) loss.backward();
    return std::vector<std::vector<float>>{x.grad().to_vector<float>(), w.grad().to_vector<float>(),
                                           k.grad().to_vector<float>()};
  };
  EXPECT_EQ(gradients(true), gradients(false));
}

// ---- Copies of weights ----

class Copies : public testing::TestWithParam<Device> {};

TEST_P(Copies, OneForAllUsesUntilTheWeightChanges) {
  const Device d = GetParam();
  Generator g(3);
  nn::Sequential net(nn::Linear(6, 6, g), nn::Linear(6, 6, g));
  net.to(d);
  nn::SGD sgd(net.named_parameters(), {.lr = 0.1});
  const Autocast scope(DType::bf16);
  const auto forward = [&] { return mean(square(net(net(values({4, 6}, 5, DType::f32, d))))); };

  forward().backward();  // each layer is used twice
  EXPECT_EQ(autocast_copies(), 4);
  const std::vector<float> once = net.parameters()[0].grad().to_vector<float>();
  forward().backward();  // a second micro-batch
  EXPECT_EQ(autocast_copies(), 4);
  const std::vector<float> twice = net.parameters()[0].grad().to_vector<float>();
  for (size_t i = 0; i < once.size(); ++i) EXPECT_EQ(twice[i], 2 * once[i]);
  {
    const NoGrad no_grad;
    const Tensor y = forward();
    EXPECT_FALSE(y.requires_grad());
    EXPECT_EQ(autocast_copies(), 4);
    const Autocast inner(DType::bf16);  // the outermost scope keeps the copies
    forward();
    EXPECT_EQ(autocast_copies(), 4);
  }
  const double before = forward().item();
  sgd.step();
  const double after = forward().item();
  EXPECT_EQ(autocast_copies(), 8);
  EXPECT_LT(after, before);

  // What is computed is what a scope that never saw the old weights computes.
  double fresh = 0;
  for (const Tensor& t : net.parameters()) fresh += t.to(DType::bf16).to_vector<double>()[0];
  double kept = 0;
  for (const Tensor& t : net.parameters()) kept += autocast_weight(t).to_vector<double>()[0];
  EXPECT_EQ(kept, fresh);
}
INSTANTIATE_TEST_SUITE_P(OnDevices, Copies, testing::ValuesIn(kDevices),
                         [](const auto& info) { return to_string(info.param); });

TEST(Autocast, FrozenWeightsAndViewsAreCopiedOnceToo) {
  const Tensor w = values({4, 3}, 1), v = values({2, 4, 3}, 2), x = values({2, 3}, 3);
  const Autocast scope(DType::f16);
  for (int i = 0; i < 3; ++i) linear(x, w);
  EXPECT_EQ(autocast_copies(), 1);
  for (int i = 0; i < 3; ++i) {
    const Tensor y = linear(x, v.narrow(0, 1).reshape({4, 3}).detach()),
                 z = linear(x, v.narrow(1, 1).reshape({4, 3}).detach());
    EXPECT_LE(apart(y, matmul(x, v.narrow(0, 1).reshape({4, 3}), false, true)), 1e-6);
    EXPECT_GT(apart(y, z), 0.1);  // two views of one storage are two weights
  }
  EXPECT_EQ(autocast_copies(), 3);
}

TEST(Autocast, AGraphKeepsTheWeightsThatItUsed) {
  const Tensor w = values({4, 3}, 1).requires_grad_(), x = values({2, 3}, 3).requires_grad_();
  const Autocast scope(DType::bf16);
  const Tensor old = w.detach().clone(), y = sum(linear(x, w));
  std::fill_n(w.data<float>(), w.numel(), 7.f);
  w.bump_version();
  EXPECT_EQ(autocast_weight(w).to_vector<float>()[0], 7);
  y.backward();
  const Tensor expected = sum(old.to(DType::bf16), {0});
  for (int i = 0; i < 3; ++i) EXPECT_NEAR(x.grad().data<float>()[i], expected.data<float>()[i], 0.02);
}

TEST(Autocast, CopiesGoWithTheScopeAndWithTheirWeights) {
  const size_t before = memory_stats(Device::cpu).current;
  {
    const Autocast scope(DType::bf16);
    for (int network = 0; network < 20; ++network) linear(values({1, 512}, 3), values({512, 512}, 1));
    // A new weight drops the copies of those that are gone: one is left, of 512 KB.
    EXPECT_LE(memory_stats(Device::cpu).current, before + 2 * 512 * 512 * 2);
    const Tensor w = values({512, 512}, 2);
    linear(values({1, 512}, 3), w);
    EXPECT_GE(memory_stats(Device::cpu).current, before + 512 * 512 * (4 + 2));
  }
  EXPECT_EQ(memory_stats(Device::cpu).current, before);
}

}  // namespace
}  // namespace holt
