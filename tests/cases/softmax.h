// The truth about softmax and log_softmax: inputs, a double-precision reference from the definition, bytes and flops.
#pragma once
#include <limits>

#include "core/ops.h"
#include "kernels/softmax.h"
#include "tests/harness/case.h"

namespace holt::test {

struct SoftmaxInput {
  int64_t rows, cols;
  bool log;
  const char* name;  // what is special about the values
  Init x;
};

// One row, from the definition.
inline void softmax_row(const double* x, int64_t C, bool log, double* y) {
  double m = -std::numeric_limits<double>::infinity(), sum = 0;
  for (int64_t c = 0; c < C; ++c) m = x[c] > m || std::isnan(x[c]) ? x[c] : m;
  for (int64_t c = 0; c < C; ++c) sum += std::exp(x[c] - m);
  for (int64_t c = 0; c < C; ++c) y[c] = log ? (x[c] - m) - std::log(sum) : std::exp(x[c] - m) / sum;
}

inline Case softmax_forward_case(const SoftmaxInput& in, DType t) {
  const int64_t R = in.rows, C = in.cols;
  Case c{"softmax_forward", format("{}[{}, {}]{}", in.log ? "log " : "", R, C, in.name), t};
  c.args = {{"x", Argument::in, t, R * C, in.x}, {"y", Argument::out, t, R * C, {}, C}};
  c.reference = [=, log = in.log](Values& v) {
    for (int64_t r = 0; r < R; ++r) softmax_row(&v[0][r * C], C, log, &v[1][r * C]);
  };
  c.run = [=, log = in.log](Device d, const std::vector<void*>& p) {
    on(d, t, "softmax", Floats{}, [&]<class T>(auto dev, T) {
      softmax_forward(dev, Softmax{R, C, log}, as<const T>(p[0]), as<T>(p[1]));
    });
  };
  c.rungs.assign(softmax_forward_rungs.names.begin(), softmax_forward_rungs.names.end());
  c.bytes = 2.0 * R * C * size_of(t);
  c.flops = 25.0 * R * C;
  return c;
}

// y is any probability (or its logarithm), as the kernel cannot tell.
inline Case softmax_backward_case(int64_t R, int64_t C, bool log, DType t) {
  Case c{"softmax_backward", format("{}[{}, {}]", log ? "log " : "", R, C), t};
  const Init y = log ? uniform_values(3, -8, 0) : uniform_values(3, 0, 2.0 / C);
  c.args = {{"dy", Argument::in, t, R * C, uniform_values(2)},
            {"y", Argument::in, t, R * C, y},
            {"dx", Argument::out, t, R * C, {}, C}};
  c.reference = [=](Values& v) {
    auto &dy = v[0], &y = v[1], &dx = v[2];
    for (int64_t r = 0; r < R; ++r) {
      double sum = 0;
      for (int64_t i = r * C; i < (r + 1) * C; ++i) sum += log ? dy[i] : dy[i] * y[i];
      for (int64_t i = r * C; i < (r + 1) * C; ++i) dx[i] = log ? dy[i] - std::exp(y[i]) * sum : y[i] * (dy[i] - sum);
    }
  };
  c.run = [=](Device d, const std::vector<void*>& p) {
    on(d, t, "softmax", Floats{}, [&]<class T>(auto dev, T) {
      softmax_backward(dev, Softmax{R, C, log}, as<const T>(p[0]), as<const T>(p[1]), as<T>(p[2]));
    });
  };
  c.rungs.assign(softmax_backward_rungs.names.begin(), softmax_backward_rungs.names.end());
  c.bytes = 3.0 * R * C * size_of(t);
  c.flops = (log ? 25.0 : 4.0) * R * C;
  return c;
}

inline std::vector<Case> softmax_cases(Scope scope) {
  std::vector<Case> cases;
  const auto add = [&](int64_t rows, int64_t cols, DType t) {
    for (bool log : {false, true}) {
      cases.push_back(softmax_forward_case({rows, cols, log, "", normal_values(1, 0, 2)}, t));
      cases.push_back(softmax_backward_case(rows, cols, log, t));
    }
  };
  if (scope == Scope::bench) {
    for (DType t : {DType::f32, DType::bf16}) add(16 * 1024, 1000, t);  // ImageNet's classes
    return cases;
  }
  if (scope == Scope::race) {
    add(5, 40, DType::f32);
    add(5, 33, DType::f32);
    return cases;
  }
  for (DType t : {DType::f32, DType::bf16, DType::f16, DType::f64}) {
    for (int64_t cols : {1, 10, 31, 32, 33, 1000, 1025, 4099})
      for (int64_t rows : {0, 1, 5}) add(rows, cols, t);
    add(600, 8, t);
  }
  constexpr double kInf = std::numeric_limits<double>::infinity();
  const auto holes = [](int64_t i) { return i % 3 == 1 ? -kInf : 0.01 * double(i % 7); };
  const auto one_nan = [](int64_t i) { return i == 70 ? std::nan("") : 0.5; };
  const auto one_inf = [](int64_t i) { return i == 70 ? kInf : 0.5; };
  for (bool log : {false, true}) {
    // Far beyond exp's range: only differences may matter. Even spacing keeps the differences exact.
    cases.push_back(
        softmax_forward_case({3, 64, log, " around 1e4", [](int64_t i) { return 1e4 + double(i % 9); }}, DType::f32));
    cases.push_back(
        softmax_forward_case({3, 64, log, " around -1e4", [](int64_t i) { return -1e4 - double(i % 9); }}, DType::f32));
    cases.push_back(softmax_forward_case({3, 64, log, " equal", constant_values(5)}, DType::f32));
    cases.push_back(softmax_forward_case({3, 64, log, " some -inf", holes}, DType::f32));
    // A row of −∞, with a NaN or with a +∞ is NaN; its neighbours are not.
    cases.push_back(softmax_forward_case({3, 64, log, " all -inf", constant_values(-kInf)}, DType::f32));
    cases.push_back(softmax_forward_case({3, 64, log, " one NaN", one_nan}, DType::f32));
    cases.push_back(softmax_forward_case({3, 64, log, " one +inf", one_inf}, DType::f32));
  }
  return cases;
}

inline std::vector<Gradient> softmax_gradients() {
  Generator g(1);
  const Tensor x = normal({3, 2, 5}, 0, 2, g, DType::f64);
  return {{"softmax", [](const std::vector<Tensor>& in) { return softmax(in[0]); }, {x}},
          {"log_softmax", [](const std::vector<Tensor>& in) { return log_softmax(in[0]); }, {x}}};
}

static const CaseFamily softmax_family{"softmax", softmax_cases, softmax_gradients};

}  // namespace holt::test
