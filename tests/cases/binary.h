// The truth about a + b, a − b, a·b, a / b with broadcasting.
#pragma once
#include "core/ops.h"
#include "kernels/binary.h"
#include "tests/harness/case.h"

namespace holt::test {

// Element of an operand of shape `s` that meets element `i` of the result.
inline int64_t broadcast_index(const Shape& result, const Shape& s, int64_t i) {
  int64_t index = 0, stride = 1;
  for (int k = 1; k <= result.rank(); ++k) {
    const int64_t at = i % result[-k];
    i /= result[-k];
    if (k > s.rank()) continue;
    index += (s[-k] == 1 ? 0 : at) * stride;
    stride *= s[-k];
  }
  return index;
}

template <class Op>
Case binary_case(const char* name, Op op, const Shape& a, const Shape& b, DType t) {
  const Shape y = broadcast(name, a, b);
  Case c{"binary", format("{} {} {}", name, a, b), t};
  // Divisors stay away from 0.
  c.args = {{"a", Argument::in, t, a.numel(), normal_values(1)},
            {"b", Argument::in, t, b.numel(), uniform_values(2, 0.5, 2)},
            {"y", Argument::out, t, y.numel()}};
  c.reference = [=](Values& v) {
    for (int64_t i = 0; i < y.numel(); ++i)
      v[2][i] = op(v[0][broadcast_index(y, a, i)], v[1][broadcast_index(y, b, i)]);
  };
  c.run = [=](Device d, const std::vector<void*>& p) {
    on(d, t, "binary", Floats{}, [&]<class T>(auto dev, T) {
      binary(dev, op, Broadcast(a, b), as<const T>(p[0]), as<const T>(p[1]), as<T>(p[2]));
    });
  };
  c.rungs.assign(binary_rungs.names.begin(), binary_rungs.names.end());
  c.bytes = static_cast<double>(a.numel() + b.numel() + y.numel()) * static_cast<double>(size_of(t));
  c.flops = static_cast<double>(y.numel());
  return c;
}

inline std::vector<Case> binary_cases(Scope scope) {
  std::vector<Case> cases;
  if (scope == Scope::bench) {
    for (DType t : {DType::f32, DType::bf16}) {
      const int64_t rows = (int64_t{64} << 20) / static_cast<int64_t>(size_of(t)) / 1024;
      cases.push_back(binary_case("add", Add{}, {rows, 1024}, {rows, 1024}, t));
      cases.push_back(binary_case("add", Add{}, {rows, 1024}, {1024}, t));  // a bias
      cases.push_back(binary_case("mul", Mul{}, {rows, 1024}, {rows, 1}, t));
      cases.push_back(binary_case("add", Add{}, {rows * 64, 16}, {16}, t));  // a bias of few channels
    }
    return cases;
  }
  if (scope == Scope::race) {
    cases.push_back(binary_case("add", Add{}, {5, 8}, {5, 8}, DType::f32));
    cases.push_back(binary_case("add", Add{}, {5, 8}, {8}, DType::f32));
    cases.push_back(binary_case("add", Add{}, {2, 1, 3}, {4, 1}, DType::f32));
    return cases;
  }
  const std::pair<Shape, Shape> shapes[] = {
      {{}, {}},  // scalars
      {{0}, {1}},
      {{3, 0}, {3, 1}},
      {{0, 4}, {4}},  // nothing
      {{33}, {33}},
      {{5, 7, 11}, {5, 7, 11}},
      {{4099}, {4099}},  // same shape
      {{1025}, {1}},
      {{}, {4, 8}},  // a single element
      {{40, 10}, {10}},
      {{64}, {33, 64}},
      {{3, 1025}, {1025}},  // trailing vector
      {{700, 3}, {3}},
      {{1, 1, 8}, {50, 7, 8}},  //   … that the cpu repeats
      {{9, 32}, {9, 1}},
      {{1025, 1}, {1025, 8}},  // column
      {{7, 1}, {1, 9}},
      {{2, 1, 3, 1}, {5, 1, 4}},                             // both are repeated
      {{2, 3, 1, 4, 1, 2, 1, 3}, {1, 3, 2, 1, 2, 2, 2, 1}},  // as many axes as there can be
      {{8, 16, 24}, {8, 1, 24}},
      {{1, 1}, {1}},             // middle axis; ones only
      {{8, 14, 14, 64}, {64}}};  // a network's bias
  for (DType t : {DType::f32, DType::bf16, DType::f16, DType::f64})
    for (const auto& [a, b] : shapes) {
      cases.push_back(binary_case("add", Add{}, a, b, t));
      cases.push_back(binary_case("div", Div{}, a, b, t));
    }
  for (DType t : {DType::f32, DType::bf16, DType::f16, DType::f64}) {
    cases.push_back(binary_case("sub", Sub{}, {6, 40}, {6, 40}, t));
    cases.push_back(binary_case("sub", Sub{}, {40}, {6, 40}, t));
    cases.push_back(binary_case("mul", Mul{}, {6, 40}, {6, 40}, t));
    cases.push_back(binary_case("mul", Mul{}, {6, 1}, {6, 40}, t));
  }
  cases.push_back(binary_case("mul", Mul{}, {300, 1025}, {300, 1025}, DType::f32));  // large enough for two threads
  cases.push_back(binary_case("mul", Mul{}, {30000, 7}, {7}, DType::f32));
  cases.push_back(binary_case("mul", Mul{}, {300, 7, 65}, {300, 1, 65}, DType::f32));
  return cases;
}

inline std::vector<Gradient> binary_gradients() {
  Generator g(2);
  std::vector<Gradient> gradients;
  using In = const std::vector<Tensor>&;
  for (const auto& [sa, sb] :
       {std::pair<Shape, Shape>{{3, 4}, {3, 4}}, {{2, 3, 4}, {4}}, {{1}, {5}}, {{2, 1, 3}, {4, 1}}}) {
    const Tensor a = normal(sa, 0, 1, g, DType::f64), b = uniform(sb, 0.5, 2, g, DType::f64);
    const std::string name = format(" {} {}", sa, sb);
    gradients.push_back({"add" + name, [](In in) { return square(in[0] + in[1]); }, {a, b}});
    gradients.push_back({"sub" + name, [](In in) { return square(in[0] - in[1]); }, {a, b}});
    gradients.push_back({"mul" + name, [](In in) { return in[0] * in[1]; }, {a, b}});
    gradients.push_back({"div" + name, [](In in) { return in[0] / in[1]; }, {a, b}});
  }
  return gradients;
}

static const CaseFamily binary_family{"binary", binary_cases, binary_gradients};

}  // namespace holt::test
