// The truth about maxima along an axis and where they stand.
#pragma once
#include "core/ops.h"
#include "kernels/max.h"
#include "tests/harness/case.h"

namespace holt::test {

struct MaxInput {
  Reduction p;
  const char* name;  // what is special about the values
  Init x;
  bool values = true, index = true;  // which of the two results the caller asks for
};

inline Case max_forward_case(const MaxInput& in, DType t) {
  const auto [O, K, I] = in.p;
  Case c{"max_forward", format("[{}, {}, {}]{}", O, K, I, in.name), t};
  c.args = {{"x", Argument::in, t, O * K * I, in.x},
            {"values", Argument::out, t, in.values ? O * I : -1, {}, 1, 1, true},
            {"index", Argument::out, DType::i64, in.index ? O * I : -1}};
  c.reference = [=, O = O, K = K, I = I](Values& v) {
    for (int64_t o = 0; o < O; ++o)
      for (int64_t i = 0; i < I; ++i) {
        int64_t best = 0;
        const auto at = [&](int64_t k) { return v[0][(o * K + k) * I + i]; };
        for (int64_t k = 1; k < K; ++k)
          if (!std::isnan(at(best)) && (std::isnan(at(k)) || at(k) > at(best))) best = k;
        if (in.values) v[1][o * I + i] = at(best);
        if (in.index) v[2][o * I + i] = static_cast<double>(best);
      }
  };
  c.run = [=, p = in.p](Device d, const std::vector<void*>& ptr) {
    on(d, t, "max", Floats{},
       [&]<class T>(auto dev, T) { max_forward(dev, p, as<const T>(ptr[0]), as<T>(ptr[1]), as<int64_t>(ptr[2])); });
  };
  c.rungs.assign(max_forward_rungs.names.begin(), max_forward_rungs.names.end());
  c.bytes = 1.0 * O * K * I * size_of(t);
  c.flops = 1.0 * O * K * I;
  return c;
}

inline Case max_backward_case(Reduction p, DType t) {
  const auto [O, K, I] = p;
  Case c{"max_backward", format("[{}, {}, {}]", O, K, I), t};
  c.args = {{"dy", Argument::in, t, O * I, normal_values(1)},
            {"index", Argument::in, DType::i64, O * I, integer_values(2, 0, K)},
            {"dx", Argument::out, t, O * K * I, {}, 1, 1, true}};
  c.reference = [=, K = K, I = I](Values& v) {
    std::fill(v[2].begin(), v[2].end(), 0);
    for (size_t j = 0; j < v[0].size(); ++j) v[2][(j / I * K + static_cast<int64_t>(v[1][j])) * I + j % I] = v[0][j];
  };
  c.run = [=](Device d, const std::vector<void*>& ptr) {
    on(d, t, "max", Floats{}, [&]<class T>(auto dev, T) {
      max_backward(dev, p, as<const T>(ptr[0]), as<const int64_t>(ptr[1]), as<T>(ptr[2]));
    });
  };
  c.rungs.assign(max_backward_rungs.names.begin(), max_backward_rungs.names.end());
  c.bytes = 1.0 * O * K * I * size_of(t);
  return c;
}

inline std::vector<Case> max_cases(Scope scope) {
  std::vector<Case> cases;
  const auto both = [&](Reduction p, DType t) {
    cases.push_back(max_forward_case({p, "", normal_values(3)}, t));
    cases.push_back(max_backward_case(p, t));
  };
  if (scope == Scope::bench) {
    for (DType t : {DType::f32, DType::bf16}) {
      const int64_t n = (int64_t{64} << 20) / static_cast<int64_t>(size_of(t));
      both({1, n, 1}, t);
      both({n / 1024, 1024, 1}, t);
      both({n / 49 / 2048, 49, 2048}, t);
    }
    return cases;
  }
  if (scope == Scope::race) {
    for (Reduction p : {Reduction{3, 40, 1}, {1, 2100, 1}, {2, 9, 3}}) both(p, DType::f32);
    return cases;
  }
  for (DType t : {DType::f32, DType::bf16, DType::f16, DType::f64}) {
    for (int64_t k : {1, 31, 32, 33, 1025, 4099}) {
      both({3, k, 1}, t);
      both({1, k, 5}, t);
    }
    for (Reduction p : {Reduction{0, 7, 1}, {2, 3, 0}, {64, 10, 1}, {2, 49, 64}, {1, 5, 1025}, {1, 40000, 1}})
      both(p, t);
    // Ties: the first wins. Few different values make many of them.
    cases.push_back(max_forward_case({{4, 1025, 1}, " ties", integer_values(4, 0, 4)}, t));
    cases.push_back(max_forward_case({{2, 100, 9}, " ties", integer_values(5, 0, 4)}, t));
    cases.push_back(max_forward_case({{2, 40000, 1}, " constant", constant_values(-3)}, t));
    cases.push_back(max_forward_case({{5, 33, 1}, " index only", normal_values(6), false, true}, t));
    cases.push_back(max_forward_case({{5, 33, 3}, " values only", normal_values(7), true, false}, t));
    // The first NaN wins over everything, infinity included.
    const auto spoilt = [](int64_t i) {
      return i % 97 == 50 ? NAN : i % 7 == 0 ? INFINITY : static_cast<double>(i % 5);
    };
    cases.push_back(max_forward_case({{7, 60, 1}, " NaN", spoilt}, t));
    cases.push_back(max_forward_case({{1, 60, 7}, " NaN", spoilt}, t));
    cases.push_back(max_forward_case({{2, 4099, 1}, " NaN", spoilt}, t));
    cases.push_back(max_forward_case({{2, 33, 1}, " -inf", constant_values(-INFINITY)}, t));
  }
  return cases;
}

inline std::vector<Gradient> max_gradients() {
  Generator g(4);
  // Far apart, so that no step of gradcheck changes the winner.
  const std::vector<int64_t> order = permutation(24, g);
  const Tensor x = from(std::vector<double>(order.begin(), order.end()), {2, 3, 4});
  std::vector<Gradient> gradients;
  for (int axis : {0, 1, -1})
    for (bool keepdim : {false, true})
      gradients.push_back({format("max {}{}", axis, keepdim ? " keepdim" : ""),
                           [=](const std::vector<Tensor>& in) { return square(max(in[0], axis, keepdim).first); },
                           {x}});
  return gradients;
}

static const CaseFamily max_family{"max", max_cases, max_gradients};

}  // namespace holt::test
