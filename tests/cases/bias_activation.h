// The truth about the backward of a product's epilogue: dpre = dy·activation'(saved), db = Σ_rows dpre.
#pragma once
#include "kernels/bias_activation.h"
#include "tests/harness/activation.h"
#include "tests/harness/case.h"

namespace holt::test {

inline Case bias_activation_case(int64_t R, int64_t C, Activation a, DType t, bool dpre, bool db) {
  Case c{"bias_activation_backward",
         format("[{}, {}] {}{}{}", R, C, to_string(a), dpre ? " dpre" : "", db ? " db" : ""), t};
  c.args = {{"dy", Argument::in, t, R * C, uniform_values(1)},
            {"saved", Argument::in, t, a == Activation::none ? -1 : R * C, uniform_values(2, -3, 3)},
            {"dpre", Argument::out, t, dpre ? R * C : -1},
            {"db", Argument::out, t, db ? C : -1, {}, R}};
  c.reference = [=](Values& v) {
    std::fill(v[3].begin(), v[3].end(), 0);
    for (int64_t r = 0; r < R; ++r)
      for (int64_t k = 0; k < C; ++k) {
        const double slope = a == Activation::none ? 1 : true_activation_slope(a, v[1][r * C + k]);
        if (dpre) v[2][r * C + k] = v[0][r * C + k] * slope;
        if (db) v[3][k] += v[0][r * C + k] * slope;
      }
  };
  c.run = [=](Device d, const std::vector<void*>& v) {
    on(d, t, "bias_activation_backward", Floats{}, [&]<class T>(auto dev, T) {
      bias_activation_backward(dev, BiasActivation{R, C, a}, as<const T>(v[0]), as<const T>(v[1]), as<T>(v[2]),
                               as<T>(v[3]));
    });
  };
  c.rungs.assign(bias_activation_backward_rungs.names.begin(), bias_activation_backward_rungs.names.end());
  c.bytes = static_cast<double>(R * C) * size_of(t) * (1 + (a != Activation::none) + dpre);
  c.flops = (a == Activation::none ? 1.0 : a == Activation::relu ? 2.0 : 30.0) * static_cast<double>(R * C);
  return c;
}

inline std::vector<Case> bias_activation_cases(Scope scope) {
  std::vector<Case> cases;
  if (scope == Scope::bench) {
    for (DType t : {DType::f32, DType::bf16}) {
      cases.push_back(bias_activation_case(16 * 197, 3072, Activation::gelu, t, true, true));
      cases.push_back(bias_activation_case(16 * 197, 3072, Activation::relu, t, true, true));
      cases.push_back(bias_activation_case(16 * 197, 3072, Activation::none, t, false, true));
      cases.push_back(bias_activation_case(16 * 112 * 112, 64, Activation::none, t, false, true));
    }
    return cases;
  }
  if (scope == Scope::race)
    return {bias_activation_case(70, 40, Activation::relu, DType::f32, true, true),
            bias_activation_case(70, 33, Activation::none, DType::f32, false, true)};
  for (DType t : {DType::f32, DType::bf16, DType::f16, DType::f64})
    for (Activation a : {Activation::none, Activation::relu, Activation::gelu, Activation::gelu_tanh, Activation::silu,
                         Activation::quick_gelu})
      for (auto [rows, cols] : {std::pair<int64_t, int64_t>{0, 3},
                                {3, 0},
                                {1, 1},
                                {5, 31},
                                {33, 32},
                                {7, 33},
                                {1025, 10},
                                {3, 1025},
                                {4099, 3},
                                {197, 192}})
        for (auto [dpre, db] : {std::pair<bool, bool>{true, true}, {true, false}, {false, true}})
          if (a != Activation::none || db) cases.push_back(bias_activation_case(rows, cols, a, t, dpre, db));
  return cases;
}

static const CaseFamily bias_activation_family{"bias_activation", bias_activation_cases};

}  // namespace holt::test
