// The truth about layer_norm: inputs, a double-precision reference from the definition, bytes and flops.
#pragma once
#include "core/ops.h"
#include "kernels/layer_norm.h"
#include "tests/harness/case.h"
#include "tests/harness/element.h"

namespace holt::test {

struct LayerNormInput {
  int64_t rows, cols;
  const char* name;  // what is special about the values
  Init x;
  double condition = 1;  // |mean| / σ: how much of a value's digits the subtraction of the mean cancels
};

// x as t holds it.
inline double rounded(DType t, double x) {
  alignas(8) unsigned char cell[8];
  store(t, cell, 0, x);
  return load(t, cell, 0);
}

// residual: the input is a sum, which the call makes and writes.
inline Case layer_norm_forward_case(const LayerNormInput& in, DType t, bool residual = false) {
  const int64_t R = in.rows, C = in.cols;
  const double eps = 1e-5;
  const DType stats = t == DType::f64 ? DType::f64 : DType::f32;
  Case c{"layer_norm_forward", format("[{}, {}]{}{}", R, C, residual ? " residual" : "", in.name), t};
  c.args = {{"x", Argument::in, t, R * C, in.x},
            {"w", Argument::in, stats, C, uniform_values(2, 0.5, 1.5)},
            {"b", Argument::in, stats, C, uniform_values(3)},
            {"y", Argument::out, t, R * C, {}, C, in.condition},
            {"mean", Argument::out, stats, R, {}, C},
            {"rstd", Argument::out, stats, R, {}, C, in.condition},
            {"residual", Argument::in, t, residual ? R * C : -1, normal_values(9)},
            {"sum", Argument::out, t, residual ? R * C : -1, {}, 1, 1, true}};
  c.reference = [=](Values& v) {
    auto &w = v[1], &b = v[2], &y = v[3], &mean = v[4], &rstd = v[5], &sum = v[7];
    for (size_t i = 0; i < sum.size(); ++i) sum[i] = rounded(t, v[0][i] + v[6][i]);
    const auto& x = residual ? sum : v[0];
    for (int64_t r = 0; r < R; ++r) {
      double m = 0, var = 0;
      for (int64_t k = 0; k < C; ++k) m += x[r * C + k] / C;
      for (int64_t k = 0; k < C; ++k) var += (x[r * C + k] - m) * (x[r * C + k] - m) / C;
      mean[r] = m;
      rstd[r] = 1 / std::sqrt(var + eps);
      for (int64_t k = 0; k < C; ++k) y[r * C + k] = (x[r * C + k] - m) * rstd[r] * w[k] + b[k];
    }
  };
  c.run = [=](Device d, const std::vector<void*>& p) {
    on(d, t, "layer_norm", Floats{}, [&]<class T>(auto dev, T) {
      layer_norm_forward(dev, LayerNorm{R, C, eps}, as<const T>(p[0]), as<const T>(p[6]), as<const acc_t<T>>(p[1]),
                         as<const acc_t<T>>(p[2]), as<T>(p[7]), as<T>(p[3]), as<acc_t<T>>(p[4]), as<acc_t<T>>(p[5]));
    });
  };
  c.rungs.assign(layer_norm_forward_rungs.names.begin(), layer_norm_forward_rungs.names.end());
  c.bytes = (residual ? 4.0 : 2.0) * R * C * size_of(t);
  c.flops = 8.0 * R * C;
  return c;
}

// wants: which of dx, dw, db the caller asks for. residual: dx has a second part.
inline Case layer_norm_backward_case(int64_t R, int64_t C, DType t, std::array<bool, 3> wants, bool residual = false) {
  const DType stats = t == DType::f64 ? DType::f64 : DType::f32;
  Case c{"layer_norm_backward",
         format("[{}, {}]{}{}{}{}", R, C, residual ? " residual" : "", wants[0] ? " dx" : "", wants[1] ? " dw" : "",
                wants[2] ? " db" : ""),
         t};
  // A size of −1 is a null pointer.
  c.args = {{"dy", Argument::in, t, R * C, uniform_values(4)},
            {"x", Argument::in, t, R * C, normal_values(5)},
            {"w", Argument::in, stats, C, uniform_values(6, 0.5, 1.5)},
            {"mean", Argument::in, stats, R, uniform_values(7, -0.1, 0.1)},
            {"rstd", Argument::in, stats, R, uniform_values(8, 0.9, 1.1)},
            {"dx", Argument::out, t, wants[0] ? R * C : -1, {}, C},
            {"dw", Argument::out, stats, wants[1] ? C : -1, {}, R},
            {"db", Argument::out, stats, wants[2] ? C : -1, {}, R},
            {"dsum", Argument::in, t, residual ? R * C : -1, normal_values(9)}};
  c.reference = [=](Values& v) {
    auto &dy = v[0], &x = v[1], &w = v[2], &mean = v[3], &rstd = v[4], &dx = v[5], &dw = v[6], &db = v[7];
    std::fill(dw.begin(), dw.end(), 0);
    std::fill(db.begin(), db.end(), 0);
    for (int64_t r = 0; r < R; ++r) {
      const auto xhat = [&](int64_t k) { return (x[r * C + k] - mean[r]) * rstd[r]; };
      double g = 0, gx = 0;
      for (int64_t k = 0; k < C; ++k) {
        g += dy[r * C + k] * w[k] / C;
        gx += dy[r * C + k] * w[k] * xhat(k) / C;
        if (wants[1]) dw[k] += dy[r * C + k] * xhat(k);
        if (wants[2]) db[k] += dy[r * C + k];
      }
      for (int64_t k = 0; wants[0] && k < C; ++k) {
        const double other = residual ? v[8][r * C + k] : 0;
        dx[r * C + k] = rstd[r] * (dy[r * C + k] * w[k] - g - xhat(k) * gx) + other;
      }
    }
  };
  c.run = [=](Device d, const std::vector<void*>& p) {
    on(d, t, "layer_norm", Floats{}, [&]<class T>(auto dev, T) {
      layer_norm_backward(dev, LayerNorm{R, C, 1e-5}, as<const T>(p[0]), as<const T>(p[1]), as<const acc_t<T>>(p[2]),
                          as<const acc_t<T>>(p[3]), as<const acc_t<T>>(p[4]), as<const T>(p[8]), as<T>(p[5]),
                          as<acc_t<T>>(p[6]), as<acc_t<T>>(p[7]));
    });
  };
  c.rungs.assign(layer_norm_backward_rungs.names.begin(), layer_norm_backward_rungs.names.end());
  c.bytes = (residual ? 4.0 : 3.0) * R * C * size_of(t);
  c.flops = 14.0 * R * C;
  return c;
}

inline std::vector<Case> layer_norm_cases(Scope scope) {
  std::vector<Case> cases;
  if (scope == Scope::bench) {
    for (DType t : {DType::f32, DType::bf16})
      for (auto [rows, cols] :
           {std::pair<int64_t, int64_t>{64 * 197, 768}, {64 * 197, 1024}}) {  // ViT-B, ViT-L, batch 64
        cases.push_back(layer_norm_forward_case({rows, cols, "", normal_values(1)}, t));
        cases.push_back(layer_norm_backward_case(rows, cols, t, {true, true, true}));
        cases.push_back(layer_norm_forward_case({rows, cols, "", normal_values(1)}, t, true));
        cases.push_back(layer_norm_backward_case(rows, cols, t, {true, true, true}, true));
      }
    return cases;
  }
  if (scope == Scope::study) {  // an image's tokens in ViT-B
    for (DType t : {DType::f32, DType::bf16}) {
      cases.push_back(layer_norm_forward_case({197, 768, "", normal_values(1)}, t));
      cases.push_back(layer_norm_backward_case(197, 768, t, {true, true, true}));
    }
    return cases;
  }
  if (scope == Scope::race) {
    for (auto [rows, cols] : {std::pair<int64_t, int64_t>{5, 40}, {5, 33}}) {
      cases.push_back(layer_norm_forward_case({rows, cols, "", normal_values(1)}, DType::f32));
      cases.push_back(layer_norm_backward_case(rows, cols, DType::f32, {true, true, true}));
      cases.push_back(layer_norm_forward_case({rows, cols, "", normal_values(1)}, DType::f32, true));
      cases.push_back(layer_norm_backward_case(rows, cols, DType::f32, {true, true, true}, true));
    }
    return cases;
  }
  for (DType t : {DType::f32, DType::bf16, DType::f16, DType::f64}) {
    for (int64_t cols : {1, 31, 32, 33, 768, 1025, 4099})
      for (int64_t rows : {0, 1, 5}) {
        cases.push_back(layer_norm_forward_case({rows, cols, "", normal_values(1)}, t));
        cases.push_back(layer_norm_backward_case(rows, cols, t, {true, true, true}));
      }
    cases.push_back(layer_norm_forward_case({197, 192, " ViT-Ti", normal_values(1)}, t));
    for (auto wants : {std::array{true, false, false}, {false, true, false}, {false, false, true}, {true, true, true}})
      cases.push_back(layer_norm_backward_case(600, 96, t, wants));
    for (int64_t cols : {33, 768, 1025}) {
      cases.push_back(layer_norm_forward_case({5, cols, "", normal_values(1)}, t, true));
      cases.push_back(layer_norm_backward_case(5, cols, t, {true, true, true}, true));
      cases.push_back(layer_norm_backward_case(5, cols, t, {true, false, false}, true));
    }
    // Constant rows: the variance is 0 and eps alone keeps rstd finite, so y is b.
    cases.push_back(layer_norm_forward_case({3, 64, " constant", constant_values(0.75)}, t));
  }
  // mean 1000, σ 0.01: a one-pass variance would be all cancellation. What rounding the mean to f32 costs is mean / σ.
  cases.push_back(layer_norm_forward_case({4, 256, " mean 1000", normal_values(1, 1000, 0.01), 1e5}, DType::f32));
  return cases;
}

inline std::vector<Gradient> layer_norm_gradients() {
  Generator g(1);
  return {
      {"layer_norm",
       [](const std::vector<Tensor>& in) { return layer_norm(in[0], in[1], in[2], 1e-5); },
       {normal({3, 2, 7}, 0.3, 1, g, DType::f64), uniform({7}, 0.5, 1.5, g, DType::f64),
        normal({7}, 0, 1, g, DType::f64)}},
      // The sum goes on beside the normalised one, as in a transformer: its gradient is added in layer norm's own pass.
      {"add_layer_norm",
       [](const std::vector<Tensor>& in) {
         const auto [y, sum] = add_layer_norm(in[0], in[1], in[2], in[3], 1e-5);
         return y * 2 + sum * sum;
       },
       {normal({3, 7}, 0.3, 1, g, DType::f64), normal({3, 7}, 0, 1, g, DType::f64),
        uniform({7}, 0.5, 1.5, g, DType::f64), normal({7}, 0, 1, g, DType::f64)}}};
}

static const CaseFamily layer_norm_family{"layer_norm", layer_norm_cases, layer_norm_gradients};

}  // namespace holt::test
