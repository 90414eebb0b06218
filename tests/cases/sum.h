// The truth about sums and means along axes.
#pragma once
#include "core/ops.h"
#include "kernels/sum.h"
#include "tests/harness/case.h"

namespace holt::test {

inline Case sum_case(Reduction p, double scale, DType t, Init init, const char* what = "", double condition = 1) {
  const auto [O, K, I] = p;
  const DType wide = t == DType::f64 ? DType::f64 : DType::f32;
  Case c{"sum", format("[{}, {}, {}]{}", O, K, I, what), t};
  c.args = {{"x", Argument::in, t, O * K * I, init},
            {"y", Argument::out, wide, O * I, {}, std::max<int64_t>(K, 1), condition}};
  c.reference = [=, O = O, K = K, I = I](Values& v) {
    for (int64_t o = 0; o < O; ++o)
      for (int64_t i = 0; i < I; ++i) {
        double s = 0;
        for (int64_t k = 0; k < K; ++k) s += v[0][(o * K + k) * I + i];
        v[1][o * I + i] = scale * s;
      }
  };
  c.run = [=](Device d, const std::vector<void*>& ptr) {
    on(d, t, "sum", Floats{},
       [&]<class T>(auto dev, T) { sum(dev, p, scale, as<const T>(ptr[0]), as<acc_t<T>>(ptr[1])); });
  };
  c.rungs.assign(sum_rungs.names.begin(), sum_rungs.names.end());
  c.bytes = 1.0 * O * K * I * size_of(t);
  c.flops = 1.0 * O * K * I;
  return c;
}

inline Case sum_backward_case(Reduction p, double scale, DType t) {
  const auto [O, K, I] = p;
  Case c{"sum_backward", format("[{}, {}, {}]", O, K, I), t};
  c.args = {{"dy", Argument::in, t == DType::f64 ? DType::f64 : DType::f32, O * I, normal_values(1)},
            {"dx", Argument::out, t, O * K * I}};
  c.reference = [=, K = K, I = I](Values& v) {
    for (size_t j = 0; j < v[1].size(); ++j) v[1][j] = scale * v[0][j / (K * I) * I + j % I];
  };
  c.run = [=](Device d, const std::vector<void*>& ptr) {
    on(d, t, "sum", Floats{},
       [&]<class T>(auto dev, T) { sum_backward(dev, p, scale, as<const acc_t<T>>(ptr[0]), as<T>(ptr[1])); });
  };
  c.rungs.assign(sum_backward_rungs.names.begin(), sum_backward_rungs.names.end());
  c.bytes = 1.0 * O * K * I * size_of(t);
  return c;
}

inline std::vector<Case> sum_cases(Scope scope) {
  std::vector<Case> cases;
  const auto both = [&](Reduction p, DType t) {
    cases.push_back(sum_case(p, 1, t, normal_values(2)));
    cases.push_back(sum_backward_case(p, 0.25, t));
  };
  if (scope == Scope::bench) {
    for (DType t : {DType::f32, DType::bf16}) {
      const int64_t n = (int64_t{64} << 20) / static_cast<int64_t>(size_of(t));
      both({1, n, 1}, t);                  // all of it
      both({n / 1024, 1024, 1}, t);        // rows
      both({1, n / 768, 768}, t);          // a bias's gradient in ViT-B
      both({1, n / 64, 64}, t);            // … and in the first stage of a ResNet
      both({n / 49 / 2048, 49, 2048}, t);  // ResNet-50's global average
    }
    return cases;
  }
  if (scope == Scope::race) {
    for (Reduction p : {Reduction{3, 40, 1}, {1, 2000, 1}, {2, 70, 3}, {1, 40, 8}}) both(p, DType::f32);
    return cases;
  }
  for (DType t : {DType::f32, DType::bf16, DType::f16, DType::f64}) {
    for (int64_t k : {0, 1, 31, 32, 33, 1024, 1025, 4099}) {
      both({3, k, 1}, t);
      both({1, k, 5}, t);
    }
    for (Reduction p : {Reduction{0, 7, 1},
                        {2, 3, 0},
                        {2, 33, 32},
                        {1, 9, 1025},
                        {300, 10, 1},
                        {5, 64, 8},
                        {2, 49, 64},
                        {1, 600, 96},
                        {1, 3, 4099}})
      both(p, t);
    // More than one chunk.
    cases.push_back(sum_case({2, 40000, 1}, 1, t, normal_values(2)));
    cases.push_back(sum_case({1, 20000, 3}, 1, t, normal_values(2)));
    cases.push_back(sum_case({2, 5000, 8}, 1.0 / 5000, t, normal_values(2), " mean"));
  }
  // All of one sign: every rounding error of a running sum would point the same way. In bf16 such a sum would stop at
  // 256.
  cases.push_back(sum_case({1, 1 << 18, 1}, 1, DType::f32, constant_values(0.1), " constant"));
  cases.push_back(sum_case({1, 1 << 16, 4}, 1, DType::bf16, constant_values(1), " constant"));
  // One NaN, one infinity.
  const auto spoilt = [](double x) { return [x](int64_t i) { return i == 700 ? x : 1.0; }; };
  cases.push_back(sum_case({2, 1025, 1}, 1, DType::f32, spoilt(NAN), " NaN"));
  cases.push_back(sum_case({1, 512, 4}, 1, DType::f32, spoilt(INFINITY), " inf"));
  return cases;
}

inline std::vector<Gradient> sum_gradients() {
  Generator g(3);
  const Tensor x = normal({2, 3, 2, 4}, 0, 1, g, DType::f64);
  std::vector<Gradient> gradients;
  using In = const std::vector<Tensor>&;
  for (const std::vector<int>& axes : {std::vector<int>{}, {0}, {-1}, {1, 2}, {0, 2}, {3, 1}, {0, 1, 3}})
    for (bool keepdim : {false, true}) {
      std::string name;
      for (int a : axes) name += format(" {}", a);
      gradients.push_back({format("sum{}{}", name, keepdim ? " keepdim" : ""),
                           [=](In in) { return square(sum(in[0], axes, keepdim)); },
                           {x}});
      gradients.push_back({format("mean{}{}", name, keepdim ? " keepdim" : ""),
                           [=](In in) { return square(mean(in[0], axes, keepdim)); },
                           {x}});
    }
  gradients.push_back({"sum of a scalar", [](In in) { return square(sum(in[0])); }, {normal({}, 0, 1, g, DType::f64)}});
  return gradients;
}

static const CaseFamily sum_family{"sum", sum_cases, sum_gradients};

}  // namespace holt::test
