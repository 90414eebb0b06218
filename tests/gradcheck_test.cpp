// gradcheck itself: right gradients pass; wrong ones, and wrong needs masks, are named.
#include <gtest/gtest.h>

#include <cmath>

#include "core/autograd.h"
#include "tests/harness/expect_error.h"
#include "tests/harness/toy_ops.h"

namespace holt {
namespace {

using namespace test;

TEST(Gradcheck, AcceptsRightGradients) {
  const V a{0.5, -1.5, 2, 0.1}, b{1, 2, -0.5, 3};
  EXPECT_LE(
      gradcheck([](const auto& v) { return toy_mul(toy_mul(v[0], v[1]), v[0]); }, {make(a, {2, 2}), make(b, {2, 2})}),
      1e-8);
  EXPECT_LE(gradcheck([](const auto&) { return make({1}, {1}); }, {make(a, {4})}), 0);  // depends on nothing
  EXPECT_LE(gradcheck([](const auto& v) { return toy_mul(v[0], v[0]); }, {make({}, {0})}), 0);
}

TEST(Gradcheck, CatchesWrongGradients) {
  const auto scaled = [](double factor) {
    return [factor](const std::vector<Tensor>& v) {
      return toy_broken(v[0], [factor](const Tensor& dy) {
        V g = dy.to_vector<double>();
        g[1] *= factor;
        return Grads{from(g, dy.shape())};
      });
    };
  };
  const Tensor x = make({1, 2, 3}, {3});
  EXPECT_NO_THROW(gradcheck(scaled(1), {x}));
  EXPECT_ERROR(gradcheck(scaled(1.0001), {x}), "gradcheck: input 0 [3], element 1: analytic ");
  EXPECT_ERROR(gradcheck(scaled(0), {x}), "element 1: analytic ");
  EXPECT_ERROR(gradcheck(scaled(std::nan("")), {x}), "element 1: analytic nan");

  const auto forgets = [](const std::vector<Tensor>& v) {  // the result depends on v[1], the graph does not
    return toy_mul(v[0], v[1].detach());
  };
  EXPECT_ERROR(gradcheck(forgets, {x, x}), "input 1 [3], element 0: analytic 0");
}

TEST(Gradcheck, CatchesWrongNeeds) {
  const Tensor x = make({1, 2}, {2});
  const auto op = [](auto grads) {
    return [grads](const std::vector<Tensor>& v) {
      return record("op", v, map(v[0], v[1], [](double a, double b) { return a + b; }),
                    [grads](const Tensor& dy, const Needs& needs) -> Grads { return grads(dy, needs); });
    };
  };
  EXPECT_ERROR(gradcheck(op([](const Tensor& dy, const Needs&) {
                           return Grads{dy, dy};
                         }),
                         {x, x}),
               "op: its backward computed the gradient of input 1, which nobody needs");
  EXPECT_ERROR(gradcheck(op([](const Tensor& dy, const Needs& n) {
                           return Grads{!n[0] ? Tensor{} : n[1] ? dy : zeros_like(dy), n[1] ? dy : Tensor{}};
                         }),
                         {x, x}),
               "input 0 [2], element 0: gradient 0 when it alone is trained");
}

TEST(Gradcheck, RefusesWhatItCannotCheck) {
  EXPECT_ERROR(gradcheck([](const auto& v) { return v[0]; }, {zeros({2})}), "input 0 must be f64 on cpu, got f32 [2]");
  EXPECT_ERROR(gradcheck([](const auto&) { return zeros({2}); }, {make({1}, {1})}),
               "must give f64 on cpu, got f32 [2]");
  int calls = 0;
  EXPECT_ERROR(gradcheck([&](const auto&) { return make({double(++calls)}, {1}); }, {make({1}, {1})}),
               "different results for equal inputs");
}

}  // namespace
}  // namespace holt
