// The engine, on toy ops (harness/toy_ops.h): what it visits, what it hands on, what it frees, and what it refuses.
#include "core/autograd.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <thread>

#include "core/finite.h"
#include "core/ops.h"
#include "kernels/memory.h"
#include "tests/harness/expect_error.h"
#include "tests/harness/toy_ops.h"

namespace holt {
namespace {

using namespace test;

TEST(Backward, MultipliesAndAdds) {
  const Tensor a = leaf({2, 3}, {2}), b = leaf({5, 7}, {2});
  toy_add(toy_mul(a, b), a).backward(make({1, 10}, {2}));
  EXPECT_EQ(grad_of(a), (V{6, 80}));
  EXPECT_EQ(grad_of(b), (V{2, 30}));
}

TEST(Backward, SumsOverEveryPath) {
  const Tensor x = leaf({3}, {});
  const Tensor y = toy_mul(x, x), z = toy_mul(y, x);  // x³ and x² through shared nodes
  toy_add(toy_add(z, y), toy_add(y, x)).backward();
  EXPECT_EQ(grad_of(x), (V{3 * 9 + 2 * 2 * 3 + 1}));
}

TEST(Backward, LeavesAccumulateUntilTheyAreCleared) {
  const Tensor x = leaf({3}, {});
  for (int i = 1; i <= 3; ++i) {
    toy_mul(x, x).backward();
    EXPECT_EQ(grad_of(x), V{6.0 * i});
  }
  x.set_grad({});
  EXPECT_FALSE(x.grad());
}

TEST(Backward, ALeafOwnsItsGradient) {
  const Tensor a = leaf({1, 2}, {2}), b = leaf({3, 4}, {2}), seed = make({5, 6}, {2});
  toy_add(a, b.reshape({2})).backward(seed);
  EXPECT_NE(a.grad().raw(), b.grad().raw());
  EXPECT_NE(a.grad().raw(), seed.raw());
  EXPECT_NE(b.grad().raw(), seed.raw());
  a.grad().data<double>()[0] = 100;
  EXPECT_EQ(grad_of(b), (V{5, 6}));
  EXPECT_EQ(seed.to_vector<double>(), (V{5, 6}));
}

TEST(Backward, OfALeafIsItsSeed) {
  const Tensor x = leaf({3}, {});
  x.backward();
  EXPECT_EQ(grad_of(x), V{1});
}

TEST(Backward, SkipsBranchesWithoutATrainableLeaf) {
  int frozen = 0, trained = 0, thawed = 0;
  const Tensor x = make({2}, {}), w = leaf({3}, {}), late = leaf({4}, {});
  const Tensor y = toy_mul(toy_mul(toy_probe(x, &frozen), toy_probe(w, &trained)), toy_probe(late, &thawed));
  late.requires_grad_(false);  // frozen after the forward
  y.backward();
  EXPECT_EQ(frozen, 0);
  EXPECT_EQ(trained, 1);
  EXPECT_EQ(thawed, 0);
  EXPECT_FALSE(x.grad());
  EXPECT_FALSE(late.grad());
  EXPECT_EQ(grad_of(w), V{8});
}

TEST(Backward, TellsAnOpWhichGradientsAreNeeded) {
  Needs seen;
  const auto op = [&](const Tensor& a, const Tensor& b) {
    return record("op", {a, Tensor{}, b}, make({0}, {}), [&](const Tensor& dy, const Needs& needs) -> Grads {
      seen = needs;
      return {Tensor{}, Tensor{}, dy};
    });
  };
  op(make({1}, {}), leaf({1}, {})).backward();
  EXPECT_EQ(seen, (Needs{false, false, true}));
}

TEST(Backward, RunsEachNodeOnceAfterAllItsResults) {
  int visits = 0;
  const Tensor x = leaf({1}, {});
  Tensor y = toy_probe(x, &visits);
  for (int i = 0; i < 60; ++i) y = toy_add(y, y);  // 2^60 paths
  y.backward();
  EXPECT_EQ(visits, 1);
  EXPECT_EQ(grad_of(x), V{std::ldexp(1.0, 60)});
}

TEST(Backward, ViewsHaveGradients) {
  const Tensor x = leaf({1, 2, 3, 4, 5, 6}, {3, 2});
  const Tensor y = x.narrow(1, 2).reshape({4});
  EXPECT_STREQ(op_name(y), "reshape");
  EXPECT_STREQ(op_name(x), "");
  toy_mul(y, y).backward(make({1, 1, 1, 10}, {4}));
  EXPECT_EQ(grad_of(x), (V{0, 0, 6, 8, 10, 120}));
  EXPECT_FALSE(x.detach().requires_grad());
  EXPECT_EQ(x.detach().raw(), x.raw());
  EXPECT_LE(gradcheck(
                [](const auto& v) {
                  return v[0].narrow(1, 1).reshape({2, 1});
                },
                {make({1, 2, 3, 4}, {2, 2})}),
            1e-9);
}

TEST(Backward, RunsOnTheEmulatedGpu) {
  const Tensor x = from(std::vector<float>{1, 2, 3, 4}, {2, 2}, DType::f32, Device::simt).requires_grad_();
  const Tensor y = x.narrow(1, 1).reshape({2});
  y.backward(full({2}, 1, DType::f32, Device::simt));
  x.backward(full({2, 2}, 10, DType::f32, Device::simt));
  EXPECT_EQ(to_string(x.grad()), "f32 [2, 2] on simt");
  EXPECT_EQ(grad_of(x), (V{10, 10, 11, 11}));
}

// Partial fine-tuning trains few of many layers: a frozen weight must not make the graph hold the layer's input.
TEST(Backward, FrozenWeightsKeepNoActivations) {
  const auto holds = [](const Shape& sx, const Shape& sw, bool trained, auto op) {
    const Tensor x = full(sx, 1).requires_grad_(), w = full(sw, 1).requires_grad_(trained);
    const long before = x.storage().use_count();
    const Tensor y = op(x, w);
    const bool kept = x.storage().use_count() > before;
    y.backward(full(y.shape(), 1));
    EXPECT_EQ(x.grad().shape(), sx);
    EXPECT_EQ(w.grad().defined(), trained);
    return kept;
  };
  const auto linear_op = [](const Tensor& x, const Tensor& w) { return linear(x, w); };
  const auto matmul_op = [](const Tensor& x, const Tensor& w) { return matmul(x, w); };
  const auto conv_op = [](const Tensor& x, const Tensor& w) { return conv2d(x, w); };
  const auto mul_op = [](const Tensor& x, const Tensor& w) { return x * w; };
  const auto div_op = [](const Tensor& x, const Tensor& w) { return x / w; };
  for (bool trained : {false, true}) {
    EXPECT_EQ(holds({2, 3}, {4, 3}, trained, linear_op), trained);
    EXPECT_EQ(holds({2, 3}, {3, 4}, trained, matmul_op), trained);
    EXPECT_EQ(holds({2, 5, 3}, {3, 4}, trained, matmul_op), trained);
    EXPECT_EQ(holds({1, 5, 5, 2}, {3, 3, 3, 2}, trained, conv_op), trained);
    EXPECT_EQ(holds({2, 3}, {3}, trained, mul_op), trained);
    EXPECT_EQ(holds({2, 3}, {3}, trained, div_op), trained);
  }
}

TEST(Backward, FreesAsItPasses) {
  const size_t before = memory_stats(Device{}).current;
  const Tensor x = leaf({2}, {});
  int live = 0;
  struct Alive {
    int* n;
    explicit Alive(int* c) : n(c) { ++*n; }
    ~Alive() { --*n; }
  };
  Tensor y = x;
  std::vector<int> seen;
  for (int i = 0; i < 4; ++i)
    y = record("step", {y}, make({0}, {}),
               [&, alive = std::make_shared<Alive>(&live)](const Tensor& dy, const Needs&) -> Grads {
                 seen.push_back(live);
                 return {dy};
               });
  EXPECT_EQ(live, 4);
  y.backward();
  EXPECT_EQ(seen, (std::vector<int>{4, 3, 2, 1}));
  EXPECT_EQ(live, 0);
  y = {};
  x.set_grad({});
  EXPECT_EQ(memory_stats(Device{}).current, before + x.bytes() + (64 - x.bytes() % 64) % 64);
}

TEST(Backward, RetainedGraphsRunAgain) {
  const Tensor x = leaf({3}, {});
  const Tensor y = toy_mul(x, x);
  y.backward({}, true);
  y.backward();
  EXPECT_EQ(grad_of(x), V{12});
}

TEST(Backward, RefusesASecondRunOverAFreedGraph) {
  const Tensor x = leaf({3}, {});
  const Tensor y = toy_mul(x, x), z = toy_add(y, x);
  y.backward();
  EXPECT_ERROR(y.backward(), "the graph through 'toy_mul' was freed by an earlier backward; pass retain_graph");
  EXPECT_ERROR(z.backward(), "the graph through 'toy_mul' was freed");
  EXPECT_EQ(grad_of(x), V{6});  // nothing was added before the error
}

TEST(Backward, ChecksTheSeed) {
  const Tensor x = leaf({1, 2}, {2});
  const Tensor y = toy_mul(x, x);
  EXPECT_ERROR(y.backward(), "backward: f64 [2] on cpu has 2 elements; pass a seed of its shape");
  EXPECT_ERROR(y.backward(make({1}, {1})), "the seed must be f64 [2] on cpu, got f64 [1] on cpu");
  EXPECT_ERROR(y.backward(zeros({2})), "the seed must be f64 [2] on cpu, got f32 [2] on cpu");
  EXPECT_ERROR(y.backward(zeros({2}, DType::f32, Device::simt)), "got f32 [2] on simt");
  EXPECT_NO_THROW(y.backward(make({1, 1}, {2})));
}

TEST(Backward, NeedsAGraph) {
  EXPECT_ERROR(make({1}, {}).backward(), "f64 [] on cpu depends on nothing that requires a gradient");
  const Tensor x = leaf({3}, {});
  Tensor y;
  {
    const NoGrad scope;
    EXPECT_FALSE(grad_enabled());
    y = toy_mul(x, x);
  }
  EXPECT_TRUE(grad_enabled());
  EXPECT_FALSE(y.requires_grad());
  EXPECT_ERROR(y.backward(), "f64 [] on cpu was computed by 'toy_mul' inside NoGrad");
  toy_mul(y, x).backward();  // as an input it is a constant
  EXPECT_EQ(grad_of(x), V{9});
}

TEST(Backward, DetectsInPlaceChangesOfWhatItSaved) {
  const Tensor x = leaf({1, 2}, {2}), w = make({3, 4}, {2}), other = make({5, 6}, {2});
  const Tensor y = toy_add(toy_mul(x, w), other);
  other.bump_version();           // toy_add saved nothing
  w.narrow(1, 1).bump_version();  // through a view of the storage
  EXPECT_ERROR(y.backward(make({1, 1}, {2})),
               "toy_mul: the backward needs f64 [2] on cpu, which was changed in place after the forward");
}

TEST(Backward, NamesAnOpWhoseGradientsAreWrong) {
  const Tensor x = leaf({1, 2}, {2});
  const auto run = [&](std::function<Grads(const Tensor&)> g) { toy_broken(x, g).backward(make({1, 1}, {2})); };
  EXPECT_ERROR(run([](const Tensor& dy) {
                 return Grads{dy.reshape({1, 2})};
               }),
               "toy_broken: internal error: the gradient of input 0 must be f64 [2] on cpu, its backward returned f64 "
               "[1, 2] on cpu");
  EXPECT_ERROR(run([](const Tensor&) { return Grads{zeros({2})}; }), "its backward returned f32 [2] on cpu");
  EXPECT_ERROR(run([](const Tensor&) { return Grads{Tensor{}}; }), "its backward returned undefined");
  EXPECT_ERROR(run([](const Tensor&) { return Grads{}; }), "1 inputs, but its backward returned 0 gradients");
  EXPECT_FALSE(x.grad());
}

TEST(Backward, BackwardOfOpsRecordsNothing) {
  const Tensor x = leaf({3}, {});
  bool enabled = true;
  toy_broken(x, [&](const Tensor& dy) {
    enabled = grad_enabled();
    return Grads{toy_mul(dy, x)};
  }).backward();
  EXPECT_FALSE(enabled);
  EXPECT_TRUE(grad_enabled());
  EXPECT_FALSE(x.grad().requires_grad());
}

// A recursion in the walk or in the destructors would end an 8 MiB stack.
TEST(Backward, GraphsMayBeVeryDeep) {
  constexpr int kDepth = 200'000;
  const Tensor x = leaf({1}, {}), zero = make({0}, {});
  Tensor y = x;
  for (int i = 0; i < kDepth; ++i) y = toy_add(y, zero);
  y.backward();
  EXPECT_EQ(grad_of(x), V{1});
  y = x;
  for (int i = 0; i < kDepth; ++i) y = toy_add(y, zero);
  y = {};  // dies unused

  // Closures that hold results as they are, not by Saved, make the chain run through TensorImpl too.
  y = x;
  for (int i = 0; i < kDepth; ++i)
    y = record("keeps", {y}, make({0}, {}), [kept = y](const Tensor& dy, const Needs&) -> Grads { return {dy}; });
  y = {};
}

TEST(Backward, IndependentGraphsRunInSeveralThreads) {
  const Tensor frozen = make({2}, {});
  std::vector<std::thread> threads;
  std::vector<double> results(4);
  for (size_t t = 0; t < results.size(); ++t)
    threads.emplace_back([&, t] {
      const Tensor w = leaf({static_cast<double>(t)}, {});
      for (int step = 0; step < 500; ++step) {
        Tensor y = toy_mul(w, frozen);
        for (int i = 0; i < 10; ++i) y = toy_add(y, toy_mul(frozen, w));
        y.backward();
      }
      results[t] = w.grad().item();
    });
  for (std::thread& t : threads) t.join();
  for (double r : results) EXPECT_EQ(r, 500 * 22);
}

TEST(Leaf, OnlyFloatingLeavesAreMarked) {
  const Tensor x = leaf({1}, {});
  EXPECT_TRUE(x.is_leaf());
  const Tensor y = toy_mul(x, x);
  EXPECT_FALSE(y.is_leaf());
  EXPECT_TRUE(y.requires_grad());
  EXPECT_ERROR(y.requires_grad_(false), "f64 [] on cpu is the result of 'toy_mul'; only leaves are marked");
  EXPECT_ERROR(y.set_grad(x), "is the result of 'toy_mul'; only leaves keep a gradient");
  EXPECT_ERROR(zeros({1}, DType::i64).requires_grad_(), "only floating dtypes have gradients, got i64 [1] on cpu");
  EXPECT_ERROR(x.set_grad(zeros({2})), "set_grad: f64 [] on cpu cannot have gradient f32 [2] on cpu");
}

TEST(Leaf, AGradientNeverKeepsAGraph) {
  const size_t before = memory_stats(Device{}).current;
  {
    const Tensor x = leaf({1}, {});
    x.set_grad(toy_mul(x, x));  // would own x
    EXPECT_FALSE(x.grad().requires_grad());
  }
  EXPECT_EQ(memory_stats(Device{}).current, before);
}

TEST(Record, RefusesAnOutputThatIsNotFresh) {
  const Tensor x = leaf({1}, {});
  EXPECT_ERROR(record("op", {x}, x, nullptr), "op: internal error: the output must be a fresh tensor");
  EXPECT_ERROR(record("op", {x}, zeros({}, DType::i64), nullptr), "op: internal error: a result of dtype i64");
}

TEST(OpHook, SeesEveryOpOfItsScopeAndThread) {
  std::vector<std::string> outer, inner;
  const Tensor x = leaf({1}, {});
  {
    const OpHook a([&](const char* op, const std::vector<Tensor>& inputs, const Tensor& y) {
      outer.push_back(format("{} of {}: {}", op, inputs.size(), y));
    });
    toy_mul(x, x);
    std::thread([&] { toy_mul(x, x); }).join();
    const OpHook b([&](const char* op, const std::vector<Tensor>&, const Tensor&) { inner.push_back(op); });
    const NoGrad scope;
    toy_add(x, x);
  }
  toy_mul(x, x);
  EXPECT_EQ(outer, (std::vector<std::string>{"toy_mul of 2: f64 [] on cpu", "toy_add of 2: f64 [] on cpu"}));
  EXPECT_EQ(inner, std::vector<std::string>{"toy_add"});
}

TEST(BackwardHook, SeesEveryBackwardWithWhatItReturned) {
  const Tensor x = leaf({3}, {}), c = make({5}, {});
  std::vector<std::string> seen;
  const auto product = [&] { return toy_mul(toy_add(x, c), c); };
  {
    const BackwardHook hook([&](const char* op, const Tensor& dy, const Grads& grads) {
      seen.push_back(format("{} {} {} {}", op, dy.item(), grads[0].item(), grads[1] ? "both" : "one"));
    });
    product().backward();
  }
  product().backward();
  EXPECT_EQ(seen, (std::vector<std::string>{"toy_mul 1 5 one", "toy_add 5 5 one"}));
}

TEST(CheckFinite, NamesTheFirstOpThatWentWrong) {
  constexpr double kInf = std::numeric_limits<double>::infinity();
  EXPECT_EQ(first_nonfinite(make({1, -kInf, kInf}, {3})), 1);
  EXPECT_EQ(first_nonfinite(make({1, 2}, {2})), -1);
  EXPECT_EQ(first_nonfinite(zeros({2}, DType::i64)), -1);

  EXPECT_FALSE(check_finite());
  const Tensor big = leaf({1, 1e300}, {2}), inf = make({1, kInf}, {2});
  EXPECT_NO_THROW(toy_mul(big, big));
  struct On {
    On() { set_check_finite(true); }
    ~On() { set_check_finite(false); }
  } on;
  EXPECT_ERROR(toy_mul(big, big), "toy_mul: the output f64 [2] on cpu has inf at element 1; all its inputs are finite");
  EXPECT_ERROR(toy_add(big, inf), "input 1 already had a NaN or an infinity");
  const Tensor y = toy_mul(toy_add(big, big), make({1, 2}, {2}));
  EXPECT_ERROR(y.backward(make({1, 1e308}, {2})),
               "toy_mul: the backward's gradient of input 0, f64 [2] on cpu, has inf at element 1");
}

}  // namespace
}  // namespace holt
