// The truth about weight_gradient: dw = dyᵀ·x and db = Σ_r dy.
#pragma once
#include "kernels/weight_gradient.h"

#include "tests/harness/case.h"

namespace holt::test {

inline Case weight_gradient_case(WeightGradient p, DType t) {
  Case c{"weight_gradient", format("dy [{}, {}] x [{}, {}]", p.rows, p.out, p.rows, p.in), t};
  c.args = {{"dy", Argument::in, t, p.rows * p.out, uniform_values(1)},
            {"x", Argument::in, t, p.rows * p.in, uniform_values(2)},
            {"dw", Argument::out, t, p.out * p.in, {}, p.rows},
            {"db", Argument::out, t, p.out, {}, p.rows}};
  c.reference = [=](Values& v) {
    for (int64_t o = 0; o < p.out; ++o) {
      v[3][o] = 0;
      for (int64_t i = 0; i < p.in; ++i) v[2][o * p.in + i] = 0;
      for (int64_t r = 0; r < p.rows; ++r) {
        const double g = v[0][r * p.out + o];
        v[3][o] += g;
        for (int64_t i = 0; i < p.in; ++i) v[2][o * p.in + i] += g * v[1][r * p.in + i];
      }
    }
  };
  c.run = [=](Device d, const std::vector<void*>& v) {
    on(d, t, "weight_gradient", Floats{}, [&]<class T>(auto dev, T) {
      weight_gradient(dev, p, as<const T>(v[0]), as<const T>(v[1]), as<T>(v[2]), as<T>(v[3]));
    });
  };
  c.rungs.assign(weight_gradient_rungs.names.begin(), weight_gradient_rungs.names.end());
  c.vendor = true;
  c.bytes = static_cast<double>(p.rows * (p.out + p.in) + p.out * p.in + p.out) * size_of(t);
  c.flops = 2.0 * p.rows * p.out * p.in;
  return c;
}

inline std::vector<Case> weight_gradient_cases(Scope scope) {
  std::vector<Case> cases;
  if (scope == Scope::bench) {
    for (DType t : {DType::f32, DType::bf16}) {  // ViT-B/16, batch 16: the MLP's two layers
      cases.push_back(weight_gradient_case({16 * 197, 3072, 768}, t));
      cases.push_back(weight_gradient_case({16 * 197, 768, 3072}, t));
    }
    return cases;
  }
  if (scope == Scope::race) return {weight_gradient_case({37, 10, 9}, DType::f32)};
  for (DType t : {DType::f32, DType::bf16, DType::f16, DType::f64})
    for (auto [rows, out, in] : {std::array<int64_t, 3>{0, 3, 2},
                                 {3, 0, 2},
                                 {3, 2, 0},
                                 {1, 1, 1},
                                 {31, 32, 33},
                                 {1025, 3, 2},
                                 {4099, 5, 7},
                                 {197, 192, 64},  // ViT-Ti: a projection
                                 {32, 10, 512}})  // ResNet-18's head
      cases.push_back(weight_gradient_case({rows, out, in}, t));
  return cases;
}

static const CaseFamily weight_gradient_family{"weight_gradient", weight_gradient_cases};

}  // namespace holt::test
