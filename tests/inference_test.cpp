// What an Inference scope keeps: the same numbers as without, until a weight or a norm changes, and no longer than it
// lives.
#include "core/inference.h"

#include <gtest/gtest.h>

#include <functional>
#include <thread>

#include "core/autocast.h"
#include "core/ops.h"
#include "kernels/memory.h"

namespace holt {
namespace {

struct Convolution {
  Generator g{7};
  int kernel;
  Tensor x, w;
  BatchNormWeights norm{normal({64}, 1, 0.3, g), normal({64}, 0, 1, g), normal({64}, 0, 1, g),
                        square(normal({64}, 1, 0.2, g))};

  explicit Convolution(int k) : kernel(k), x(normal({4, 16, 16, 32}, 0, 1, g)), w(normal({64, k, k, 32}, 0, 0.1, g)) {}
  std::vector<float> run(const Tensor& images) const {
    return conv2d_batch_norm(images, w, {1, kernel / 2}, norm).to_vector<float>();
  }
  std::vector<float> run() const { return run(x); }
  std::vector<float> afresh() const {  // another thread has no scope
    std::vector<float> y;
    std::thread([&] { y = run(); }).join();
    return y;
  }
};

class Kept : public testing::TestWithParam<int> {};  // 1×1 by oneDNN, 3×3 by Winograd
INSTANTIATE_TEST_SUITE_P(Inference, Kept, testing::Values(1, 3),
                         [](const auto& i) { return i.param == 1 ? "OneDnn" : "Winograd"; });

TEST_P(Kept, GivesTheSameBits) {
  const Convolution l(GetParam());
  const auto want = l.run();
  const Inference scope;
  EXPECT_EQ(l.run(), want);
  EXPECT_EQ(l.run(), want);
}

// A write that nobody was told of is not seen: so it is kept. One that somebody was told of is.
TEST_P(Kept, UntilTheWeightChanges) {
  const Convolution l(GetParam());
  const Inference scope;
  const auto before = l.run();
  for (int64_t i = 0; i < l.w.numel(); ++i) l.w.data<float>()[i] *= 2;
  EXPECT_EQ(l.run(), before);
  l.w.bump_version();
  const auto after = l.run();
  EXPECT_NE(after, before);
  EXPECT_EQ(after, l.afresh());
}

TEST_P(Kept, UntilTheNormChanges) {
  const Convolution l(GetParam());
  const Inference scope;
  auto before = l.run();
  for (const Tensor& t : {l.norm.weight, l.norm.bias, l.norm.running_mean, l.norm.running_var}) {
    t.data<float>()[5] += 1;
    const auto after = l.run();
    EXPECT_NE(after, before);
    EXPECT_EQ(after, l.afresh());
    before = after;
  }
}

TEST_P(Kept, ForEachBatchAndPrecision) {
  const Convolution l(GetParam());
  std::vector<std::function<std::vector<float>()>> calls;
  for (int64_t n : {4, 1, 3})
    for (DType t : {DType::f32, DType::bf16})
      calls.push_back([&l, n, t] {
        const Autocast cast(t);
        return l.run(l.x.narrow(0, n));
      });
  std::vector<std::vector<float>> want;
  for (auto& call : calls) want.push_back(call());
  const Inference scope;
  for (int round = 0; round < 2; ++round)
    for (size_t i = 0; i < calls.size(); ++i) EXPECT_EQ(calls[i](), want[i]) << i;
}

TEST_P(Kept, NoLongerThanTheScope) {
  const Convolution l(GetParam());
  l.run();
  const size_t before = memory_stats(Device::cpu).current;
  {
    const Inference scope;
    l.run();
    const size_t kept = memory_stats(Device::cpu).current - before;
    EXPECT_GE(kept, l.w.bytes());
    {
      const Inference inner;
      l.run();
    }
    EXPECT_EQ(memory_stats(Device::cpu).current - before, kept);
    {
      const Convolution other(GetParam());
      other.run();
    }
    const Convolution third(GetParam());  // when it is seen, what belongs to `other` goes
    const size_t own = memory_stats(Device::cpu).current;
    third.run();
    EXPECT_EQ(memory_stats(Device::cpu).current, own);
  }
  EXPECT_EQ(memory_stats(Device::cpu).current, before);
}

TEST(Inference, RecordsNothing) {
  const Tensor w = full({1}, 2).requires_grad_();
  {
    const Inference scope;
    EXPECT_FALSE((w * w).requires_grad());
    { const Inference inner; }
    EXPECT_FALSE(grad_enabled());
  }
  EXPECT_TRUE(grad_enabled());
}

}  // namespace
}  // namespace holt
