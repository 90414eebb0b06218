// The truth about functions of one element.
#pragma once
#include <numbers>

#include "core/ops.h"
#include "kernels/unary.h"
#include "tests/harness/activation.h"
#include "tests/harness/case.h"

namespace holt::test {

struct UnaryReference {
  const char* name;
  double low, high;  // inputs, such that f16 holds the results
  double (*value)(double x);
  double (*slope)(double x);  // by x, whatever the kernel keeps
};

inline double normal_cdf(double x) { return 0.5 * std::erfc(-x / std::numbers::sqrt2); }
// In long double: 1 + tanh u cancels for negative x, and the definition is all that this file takes for true.
inline long double gelu_u(long double x) {
  return std::sqrt(2 / std::numbers::pi_v<long double>) * (x + 0.044715L * x * x * x);
}
inline double gelu_tanh_value(double x) { return static_cast<double>(x * (1 + std::tanh(gelu_u(x))) / 2); }
inline double gelu_tanh_slope(double x) {
  const long double t = std::tanh(gelu_u(x));
  const long double du = std::sqrt(2 / std::numbers::pi_v<long double>) * (1 + 3 * 0.044715L * x * x);
  return static_cast<double>((1 + t) / 2 + x * (1 - t * t) * du / 2);
}

inline const UnaryReference kExp{"exp", -8, 8, [](double x) { return std::exp(x); },
                                 [](double x) { return std::exp(x); }};
inline const UnaryReference kLog{"log", 0.01, 10, [](double x) { return std::log(x); }, [](double x) { return 1 / x; }};
inline const UnaryReference kSqrt{"sqrt", 0.01, 100, [](double x) { return std::sqrt(x); },
                                  [](double x) { return 0.5 / std::sqrt(x); }};
inline const UnaryReference kSquare{"square", -5, 5, [](double x) { return x * x; }, [](double x) { return 2 * x; }};
inline const UnaryReference kAbs{"abs", -5, 5, [](double x) { return std::abs(x); },
                                 [](double x) { return x > 0   ? 1.0
                                                       : x < 0 ? -1.0
                                                               : 0.0; }};
inline const UnaryReference kRelu{"relu", -5, 5, [](double x) { return std::isnan(x) || x > 0 ? x : 0.0; },
                                  [](double x) { return x > 0 ? 1.0 : 0.0; }};
inline const UnaryReference kGelu{
    "gelu", -6, 6, [](double x) { return x * normal_cdf(x); },
    [](double x) { return normal_cdf(x) + x * std::exp(-x * x / 2) / std::sqrt(2 * std::numbers::pi); }};
inline const UnaryReference kGeluTanh{"gelu_tanh", -6, 6, gelu_tanh_value, gelu_tanh_slope};
inline const UnaryReference kSigmoid{"sigmoid", -12, 12, true_sigmoid,
                                     [](double x) { return true_sigmoid(x) * true_sigmoid(-x); }};
inline const UnaryReference kTanh{"tanh", -6, 6, [](double x) { return std::tanh(x); },
                                  [](double x) { return 1 / (std::cosh(x) * std::cosh(x)); }};
inline const UnaryReference kSilu{"silu", -12, 12, [](double x) { return x * true_sigmoid(x); },
                                  [](double x) { return true_swish_slope(1, x); }};
inline const UnaryReference kQuickGelu{"quick_gelu", -8, 8, [](double x) { return x * true_sigmoid(1.702 * x); },
                                       [](double x) { return true_swish_slope(1.702, x); }};
inline const UnaryReference kAddScalar{"add 0.7", -5, 5, [](double x) { return x + 0.7; }, nullptr};
inline const UnaryReference kMulScalar{"mul -1.3", -5, 5, [](double x) { return x * -1.3; }, nullptr};

// make(A{}) is the kernel's struct for sums in A.
template <class Make>
Case unary_forward_case(const UnaryReference& ref, Make make, int64_t n, DType t, Init init = {},
                        const char* what = "") {
  Case c{"unary_forward", format("{} [{}]{}", ref.name, n, what), t};
  c.args = {{"x", Argument::in, t, n, init ? init : uniform_values(1, ref.low, ref.high)}, {"y", Argument::out, t, n}};
  c.reference = [=](Values& v) {
    for (int64_t i = 0; i < n; ++i) v[1][i] = ref.value(v[0][i]);
  };
  c.run = [=](Device d, const std::vector<void*>& p) {
    on(d, t, "unary", Floats{},
       [&]<class T>(auto dev, T) { unary_forward(dev, make(acc_t<T>{}), n, as<const T>(p[0]), as<T>(p[1])); });
  };
  c.rungs.assign(unary_forward_rungs.names.begin(), unary_forward_rungs.names.end());
  c.bytes = 2.0 * n * size_of(t);
  c.flops = n;
  return c;
}

// The argument `kept` is y where the function keeps its output: the reference then finds x by the inputs' own rule, not
// from the rounded y, so its tolerance has y's rounding in it (one more eps).
template <class Make>
Case unary_backward_case(const UnaryReference& ref, Make make, int64_t n, DType t) {
  using F = decltype(make(float{}));
  Case c{"unary_backward", format("{} [{}]", ref.name, n), t};
  const Init x = uniform_values(2, ref.low, ref.high);
  const Init kept = F::keeps_output ? Init([=](int64_t i) { return ref.value(x(i)); }) : x;
  c.args = {{"dy", Argument::in, t, n, normal_values(3)},
            {"kept", Argument::in, t, n, kept},
            {"dx", Argument::out, t, n, {}, 1, F::keeps_output ? 1.5 : 1}};
  c.reference = [=](Values& v) {
    for (int64_t i = 0; i < n; ++i) v[2][i] = v[0][i] * ref.slope(F::keeps_output ? x(i) : v[1][i]);
  };
  c.run = [=](Device d, const std::vector<void*>& p) {
    on(d, t, "unary", Floats{}, [&]<class T>(auto dev, T) {
      unary_backward(dev, make(acc_t<T>{}), n, as<const T>(p[0]), as<const T>(p[1]), as<T>(p[2]));
    });
  };
  c.rungs.assign(unary_backward_rungs.names.begin(), unary_backward_rungs.names.end());
  c.bytes = 3.0 * n * size_of(t);
  c.flops = 2.0 * n;
  return c;
}

inline std::vector<Case> unary_cases(Scope scope) {
  std::vector<Case> cases;
  const auto both_of = [&](const UnaryReference& ref, auto make, int64_t n, DType t) {
    cases.push_back(unary_forward_case(ref, make, n, t));
    cases.push_back(unary_backward_case(ref, make, n, t));
  };
  const auto both = [&](const UnaryReference& ref, auto f, int64_t n, DType t) {
    both_of(
        ref, [=](auto) { return f; }, n, t);
  };
  const auto silu_of = []<class A>(A) { return Swish<A>{A(kSiluBeta)}; };
  const auto quick_gelu_of = []<class A>(A) { return Swish<A>{A(kQuickGeluBeta)}; };
  const auto all = [&](int64_t n, DType t) {
    both(kExp, Exp{}, n, t);
    both(kLog, Log{}, n, t);
    both(kSqrt, Sqrt{}, n, t);
    both(kSquare, Square{}, n, t);
    both(kAbs, Abs{}, n, t);
    both(kRelu, Relu{}, n, t);
    both(kGelu, GeluExact{}, n, t);
    both(kGeluTanh, GeluTanh{}, n, t);
    both(kSigmoid, Sigmoid{}, n, t);
    both(kTanh, Tanh{}, n, t);
    both_of(kSilu, silu_of, n, t);
    both_of(kQuickGelu, quick_gelu_of, n, t);
    cases.push_back(unary_forward_case(
        kAddScalar, []<class A>(A) { return AddScalar<A>{A(0.7)}; }, n, t));
    cases.push_back(unary_forward_case(
        kMulScalar, []<class A>(A) { return MulScalar<A>{A(-1.3)}; }, n, t));
  };
  if (scope == Scope::bench) {
    for (DType t : {DType::f32, DType::bf16}) {
      const int64_t n = (int64_t{64} << 20) / static_cast<int64_t>(size_of(t));
      both(kRelu, Relu{}, n, t);
      both(kExp, Exp{}, n, t);
      both(kGelu, GeluExact{}, n, t);
      both(kGeluTanh, GeluTanh{}, n, t);
      both_of(kSilu, silu_of, n, t);
    }
    return cases;
  }
  if (scope == Scope::race) {
    both(kRelu, Relu{}, 40, DType::f32);
    both(kGelu, GeluExact{}, 37, DType::f32);
    return cases;
  }
  for (DType t : {DType::f32, DType::bf16, DType::f16, DType::f64})
    for (int64_t n : {0, 1, 31, 32, 33, 1025, 4099}) all(n, t);
  // What a network meets when it diverges: nothing may turn a NaN or an infinity into a number.
  const auto special = [](int64_t i) {
    constexpr double inf = std::numeric_limits<double>::infinity(), nan = std::numeric_limits<double>::quiet_NaN();
    constexpr double values[] = {0.0, -0.0, 1.0, inf, nan, 0x1p-126, 0x1p-140, 0x1p100};
    return values[i % 8];
  };
  const auto with_minus_inf = [=](int64_t i) {
    return i % 8 == 7 ? -std::numeric_limits<double>::infinity() : special(i);
  };
  for (int64_t n : {8, 1024}) {
    cases.push_back(unary_forward_case(
        kExp, [](auto) { return Exp{}; }, n, DType::f32, with_minus_inf, " special"));
    cases.push_back(unary_forward_case(
        kLog, [](auto) { return Log{}; }, n, DType::f32, special, " special"));
    cases.push_back(unary_forward_case(
        kLog, [](auto) { return Log{}; }, n, DType::f32, constant_values(-1), " negative"));
    cases.push_back(unary_forward_case(
        kSqrt, [](auto) { return Sqrt{}; }, n, DType::f32, special, " special"));
    cases.push_back(unary_forward_case(
        kAbs, [](auto) { return Abs{}; }, n, DType::f32, with_minus_inf, " special"));
    cases.push_back(unary_forward_case(
        kRelu, [](auto) { return Relu{}; }, n, DType::f32, with_minus_inf, " special"));
    cases.push_back(unary_forward_case(
        kGelu, [](auto) { return GeluExact{}; }, n, DType::f32, special, " special"));
    cases.push_back(unary_forward_case(
        kGeluTanh, [](auto) { return GeluTanh{}; }, n, DType::f32, special, " special"));
    cases.push_back(unary_forward_case(
        kSigmoid, [](auto) { return Sigmoid{}; }, n, DType::f32, with_minus_inf, " special"));
    cases.push_back(unary_forward_case(
        kTanh, [](auto) { return Tanh{}; }, n, DType::f32, with_minus_inf, " special"));
    cases.push_back(unary_forward_case(kSilu, silu_of, n, DType::f32, special, " special"));
    cases.push_back(unary_forward_case(kQuickGelu, quick_gelu_of, n, DType::f32, special, " special"));
  }
  return cases;
}

inline std::vector<Gradient> unary_gradients() {
  Generator g(1);
  const Tensor positive = uniform({2, 7}, 0.5, 3, g, DType::f64);
  // Away from 0 on both sides: relu and abs have a corner there.
  Tensor x = uniform({2, 7}, 0.1, 3, g, DType::f64);
  for (int i = 0; i < 14; i += 2) x.data<double>()[i] *= -1;
  using In = const std::vector<Tensor>&;
  return {{"exp", [](In in) { return exp(in[0]); }, {x}},
          {"log", [](In in) { return log(in[0]); }, {positive}},
          {"sqrt", [](In in) { return sqrt(in[0]); }, {positive}},
          {"square", [](In in) { return square(in[0]); }, {x}},
          {"abs", [](In in) { return abs(in[0]); }, {x}},
          {"relu", [](In in) { return relu(in[0]); }, {x}},
          {"gelu", [](In in) { return gelu(in[0]); }, {x}},
          {"gelu tanh", [](In in) { return gelu(in[0], Gelu::tanh); }, {x}},
          {"sigmoid", [](In in) { return sigmoid(in[0]); }, {x}},
          {"tanh", [](In in) { return tanh(in[0]); }, {x}},
          {"silu", [](In in) { return silu(in[0]); }, {x}},
          {"quick_gelu", [](In in) { return quick_gelu(in[0]); }, {x}},
          {"add number", [](In in) { return square(in[0] + 0.7); }, {x}},
          {"mul number", [](In in) { return square(in[0] * -1.3); }, {x}}};
}

static const CaseFamily unary_family{"unary", unary_cases, unary_gradients};

}  // namespace holt::test
