// The truth about axes in another order.
#pragma once
#include "core/ops.h"
#include "kernels/permute.h"
#include "tests/harness/case.h"

namespace holt::test {

inline Case permute_case(const Shape& x, const std::vector<int>& axes, DType t) {
  std::string order;
  for (int a : axes) order += format(" {}", a);
  Case c{"permute", format("{} by{}", x, order), t};
  c.args = {{"x", Argument::in, t, x.numel(), integer_values(1, 0, is_float(t) ? 250 : 100)},
            {"y", Argument::out, t, x.numel(), {}, 1, 1, true}};
  c.reference = [=](Values& v) {
    const int rank = x.rank();
    for (int64_t i = 0; i < x.numel(); ++i) {
      // i counts y's elements: its position along each axis, then where that is in x.
      std::vector<int64_t> at(rank);
      int64_t rest = i, from = 0;
      for (int k = rank - 1; k >= 0; --k) {
        at[axes[k]] = rest % x[axes[k]];
        rest /= x[axes[k]];
      }
      for (int k = 0; k < rank; ++k) from = from * x[k] + at[k];
      v[1][i] = v[0][from];
    }
  };
  c.run = [=](Device d, const std::vector<void*>& p) {
    on(d, [&](auto dev) { permute(dev, Permutation(x, axes), size_of(t), p[0], p[1]); });
  };
  c.rungs.assign(permute_rungs.names.begin(), permute_rungs.names.end());
  c.bytes = 2.0 * static_cast<double>(x.numel()) * static_cast<double>(size_of(t));
  return c;
}

inline std::vector<Case> permute_cases(Scope scope) {
  std::vector<Case> cases;
  if (scope == Scope::bench) {
    for (DType t : {DType::f32, DType::bf16}) {
      cases.push_back(permute_case({4096, 4096}, {1, 0}, t));
      cases.push_back(permute_case({64, 56, 56, 64}, {0, 3, 1, 2}, t));   // NHWC → NCHW
      cases.push_back(permute_case({64, 197, 12, 64}, {0, 2, 1, 3}, t));  // heads of ViT-B
      cases.push_back(permute_case({64, 3, 224, 224}, {0, 2, 3, 1}, t));  // images from another world
    }
    return cases;
  }
  if (scope == Scope::race) {
    cases.push_back(permute_case({35, 40}, {1, 0}, DType::f32));
    cases.push_back(permute_case({3, 4, 8}, {1, 0, 2}, DType::f32));
    return cases;
  }
  for (DType t : {DType::f32, DType::bf16, DType::f64, DType::i64, DType::u8}) {
    cases.push_back(permute_case({}, {}, t));
    cases.push_back(permute_case({0, 3}, {1, 0}, t));
    cases.push_back(permute_case({7}, {0}, t));
    cases.push_back(permute_case({1, 33, 1}, {2, 0, 1}, t));  // nothing moves
    for (int64_t n : {1, 31, 32, 33, 1025})
      for (int64_t m : {1, 7, 33, 70}) cases.push_back(permute_case({n, m}, {1, 0}, t));
    cases.push_back(permute_case({4099, 9}, {1, 0}, t));
    cases.push_back(permute_case({3, 33, 40}, {0, 2, 1}, t));        // batched
    cases.push_back(permute_case({33, 3, 40}, {2, 1, 0}, t));        // a batch axis in the middle
    cases.push_back(permute_case({4, 9, 11, 32}, {0, 3, 1, 2}, t));  // NHWC → NCHW …
    cases.push_back(permute_case({4, 32, 9, 11}, {0, 2, 3, 1}, t));  // … and back
    cases.push_back(permute_case({5, 3, 20, 20}, {0, 2, 3, 1}, t));
    cases.push_back(permute_case({2, 50, 3, 16}, {0, 2, 1, 3}, t));  // attention's heads: runs of 16
    cases.push_back(permute_case({2, 50, 3, 15}, {0, 2, 1, 3}, t));
    cases.push_back(permute_case({2, 12, 3, 10, 9}, {3, 1, 4, 0, 2}, t));
    cases.push_back(permute_case({2, 3, 2, 3, 2, 3, 2, 3}, {7, 5, 3, 1, 6, 4, 2, 0}, t));
  }
  return cases;
}

inline std::vector<Gradient> permute_gradients() {
  Generator g(5);
  using In = const std::vector<Tensor>&;
  return {
      {"permute",
       [](In in) {
         return square(permute(in[0], {2, 0, -2}));
       },
       {normal({2, 3, 4}, 0, 1, g, DType::f64)}},
      {"transpose", [](In in) { return square(transpose(in[0], -1, 0)); }, {normal({3, 2, 4}, 0, 1, g, DType::f64)}}};
}

static const CaseFamily permute_family{"permute", permute_cases, permute_gradients};

}  // namespace holt::test
