// The truth about batch_norm: inputs, a double-precision reference from the definition, bytes and flops.
#pragma once
#include "core/ops.h"
#include "kernels/batch_norm.h"
#include "tests/harness/case.h"

namespace holt::test {

struct BatchNormInput {
  int64_t rows, channels;
  bool training = true, relu = false, residual = false;
  const char* name = "";  // what is special about the values
  Init x = normal_values(1, 0.2, 1.5);
  double condition = 1;  // |mean| / σ: what rounding the mean to the statistics' dtype costs
};

inline std::string describe(const BatchNormInput& in) {
  return format("[{}, {}]{}{}{}{}", in.rows, in.channels, in.training ? " training" : " frozen", in.relu ? " relu" : "",
                in.residual ? " residual" : "", in.name);
}

inline Case batch_norm_forward_case(const BatchNormInput& in, DType t) {
  const int64_t R = in.rows, C = in.channels;
  const double eps = 1e-5, momentum = 0.1;
  const DType stats = t == DType::f64 ? DType::f64 : DType::f32;
  Case c{"batch_norm_forward", describe(in), t};
  c.args = {{"x", Argument::in, t, R * C, in.x},
            {"w", Argument::in, stats, C, uniform_values(2, 0.5, 1.5)},
            {"b", Argument::in, stats, C, uniform_values(3)},
            {"residual", Argument::in, t, in.residual ? R * C : -1, uniform_values(4)},
            {"running_mean", Argument::inout, stats, C, uniform_values(5), R},
            {"running_var", Argument::inout, stats, C, uniform_values(6, 0.5, 2), R},
            {"y", Argument::out, t, R * C, {}, R, in.condition},
            {"mean", Argument::out, stats, C, {}, R},
            {"rstd", Argument::out, stats, C, {}, R, in.condition}};
  c.reference = [=](Values& v) {
    auto &x = v[0], &w = v[1], &b = v[2], &residual = v[3], &running_mean = v[4], &running_var = v[5], &y = v[6],
         &mean = v[7], &rstd = v[8];
    for (int64_t k = 0; k < C; ++k) {
      double m = running_mean[k], var = running_var[k];
      if (in.training) {
        m = var = 0;
        for (int64_t r = 0; r < R; ++r) m += x[r * C + k] / double(R);
        for (int64_t r = 0; r < R; ++r) var += (x[r * C + k] - m) * (x[r * C + k] - m) / double(R);
        running_mean[k] = (1 - momentum) * running_mean[k] + momentum * m;
        running_var[k] = (1 - momentum) * running_var[k] + momentum * var * double(R) / double(R - 1);
      }
      mean[k] = m;
      rstd[k] = 1 / std::sqrt(var + eps);
      for (int64_t i = k; i < R * C; i += C) {
        y[i] = (x[i] - m) * rstd[k] * w[k] + b[k] + (in.residual ? residual[i] : 0);
        if (in.relu) y[i] = y[i] < 0 ? 0 : y[i];
      }
    }
  };
  c.run = [=, training = in.training, relu = in.relu](Device d, const std::vector<void*>& p) {
    on(d, t, "batch_norm", Floats{}, [&]<class T>(auto dev, T) {
      using A = acc_t<T>;
      batch_norm_forward(dev, BatchNorm{R, C, eps, momentum, training, relu}, as<const T>(p[0]), as<const A>(p[1]),
                         as<const A>(p[2]), as<const T>(p[3]), as<A>(p[4]), as<A>(p[5]), as<T>(p[6]), as<A>(p[7]),
                         as<A>(p[8]));
    });
  };
  c.rungs.assign(batch_norm_forward_rungs.names.begin(), batch_norm_forward_rungs.names.end());
  c.bytes = (2.0 + in.training + in.residual) * double(R * C) * double(size_of(t));
  c.flops = 9.0 * double(R * C);
  return c;
}

// Which gradients the caller asks for, and where relu's mask comes from.
struct BatchNormWants {
  bool dx = true, dw = true, db = true;
};

inline Case batch_norm_backward_case(const BatchNormInput& in, DType t, BatchNormWants wants = {}) {
  const int64_t R = in.rows, C = in.channels;
  const DType stats = t == DType::f64 ? DType::f64 : DType::f32;
  // As the op calls it: y where relu's mask cannot come from x, x where sums or the mask need it.
  const bool has_x = in.training || wants.dw || (in.relu && !in.residual && wants.db);
  const bool has_y = in.relu && (in.residual || !has_x);
  Case c{"batch_norm_backward",
         format("{}{}{}{}{}", describe(in), wants.dx ? " dx" : "", wants.dw ? " dw" : "", wants.db ? " db" : "",
                has_y ? " mask from y" : ""),
         t};
  // Values on a grid, and a scale and mean that are exact: x's mask then has no doubtful element near 0.
  const auto grid = [](uint64_t stream) -> Init {
    return [=](int64_t i) { return std::floor(8 * uniform_values(stream, -2, 2)(i)) / 8; };
  };
  c.args = {{"dy", Argument::in, t, R * C, uniform_values(1)},
            {"x", Argument::in, t, has_x ? R * C : -1, grid(2)},
            {"y", Argument::in, t, has_y ? R * C : -1, [](int64_t i) { return i % 3 == 0 ? 0 : 0.5; }},
            {"w", Argument::in, stats, C, [](int64_t k) { return k % 2 ? 1 : -1.5; }},
            {"b", Argument::in, stats, C, constant_values(0.03125)},
            {"mean", Argument::in, stats, C, [](int64_t k) { return 0.25 * double(k % 3); }},
            {"rstd", Argument::in, stats, C, [](int64_t k) { return k % 5 ? 1 : 0.5; }},
            {"dx", Argument::out, t, wants.dx ? R * C : -1, {}, R},
            {"dw", Argument::out, stats, wants.dw ? C : -1, {}, R},
            {"db", Argument::out, stats, wants.db ? C : -1, {}, R},
            {"dresidual", Argument::out, t, in.residual && in.relu ? R * C : -1, {}, 1, 1, true}};
  c.reference = [=](Values& v) {
    auto &dy = v[0], &x = v[1], &y = v[2], &w = v[3], &b = v[4], &mean = v[5], &rstd = v[6], &dx = v[7], &dw = v[8],
         &db = v[9], &dresidual = v[10];
    for (int64_t k = 0; k < C; ++k) {
      const auto xhat = [&](int64_t i) { return (x[i] - mean[k]) * rstd[k]; };
      const auto g = [&](int64_t i) { return in.relu && (has_y ? y[i] : xhat(i) * w[k] + b[k]) <= 0 ? 0 : dy[i]; };
      double g_sum = 0, gx_sum = 0;
      for (int64_t i = k; i < R * C; i += C) {
        g_sum += g(i);
        if (has_x) gx_sum += g(i) * xhat(i);
      }
      if (wants.db) db[k] = g_sum;
      if (wants.dw) dw[k] = gx_sum;
      for (int64_t i = k; i < R * C; i += C) {
        if (in.relu && in.residual) dresidual[i] = g(i);
        if (!wants.dx) continue;
        dx[i] = w[k] * rstd[k] * (in.training ? g(i) - g_sum / double(R) - xhat(i) * gx_sum / double(R) : g(i));
      }
    }
  };
  c.run = [=, training = in.training, relu = in.relu](Device d, const std::vector<void*>& p) {
    on(d, t, "batch_norm", Floats{}, [&]<class T>(auto dev, T) {
      using A = acc_t<T>;
      batch_norm_backward(dev, BatchNorm{R, C, 1e-5, 0.1, training, relu}, as<const T>(p[0]), as<const T>(p[1]),
                          as<const T>(p[2]), as<const A>(p[3]), as<const A>(p[4]), as<const A>(p[5]), as<const A>(p[6]),
                          as<T>(p[7]), as<A>(p[8]), as<A>(p[9]), as<T>(p[10]));
    });
  };
  c.rungs.assign(batch_norm_backward_rungs.names.begin(), batch_norm_backward_rungs.names.end());
  c.bytes = (in.training ? 5.0 : 3.0 - !has_x) * double(R * C) * double(size_of(t));
  if (in.relu && in.residual) c.bytes += 2.0 * double(R * C) * double(size_of(t));
  c.flops = 12.0 * double(R * C);
  return c;
}

inline std::vector<Case> batch_norm_cases(Scope scope) {
  std::vector<Case> cases;
  const auto add = [&](const BatchNormInput& in, DType t) {
    cases.push_back(batch_norm_forward_case(in, t));
    cases.push_back(batch_norm_backward_case(in, t));
  };
  if (scope == Scope::bench) {
    for (DType t : {DType::f32, DType::bf16})
      // ResNet-50's at batch 16, and a small network's.
      for (auto [rows, channels] : {std::pair<int64_t, int64_t>{16 * 112 * 112, 64},
                                    {16 * 56 * 56, 256},
                                    {16 * 28 * 28, 512},
                                    {1024 * 32 * 32, 16}}) {
        add({rows, channels, true, true}, t);
        add({rows, channels, true, true, true}, t);
        add({rows, channels, false, true}, t);
      }
    return cases;
  }
  if (scope == Scope::race) {
    for (int64_t channels : {8, 5})
      for (bool training : {true, false}) add({70, channels, training, true, true}, DType::f32);
    return cases;
  }
  for (DType t : {DType::f32, DType::bf16, DType::f16, DType::f64}) {
    for (int64_t channels : {1, 3, 16, 31, 32, 33, 64, 1025}) {
      add({33, channels}, t);
      // Two rows on either side of 0: however near each other, they would leave a σ that the mean's rounding swamps.
      const auto apart = [=](int64_t i) { return (i < channels ? -1 : 1) * uniform_values(1, 0.5, 1.5)(i); };
      add({2, channels, true, false, false, " apart", apart}, t);
    }
    for (bool training : {true, false})
      for (bool relu : {false, true})
        for (bool residual : {false, true})
          for (int64_t channels : {16, 23}) add({150, channels, training, relu, residual}, t);
    for (auto wants :
         {BatchNormWants{true, false, false}, {false, true, false}, {false, false, true}, {false, false, false}})
      for (bool training : {true, false})
        for (bool relu : {true, false})
          if (wants.dx || wants.dw || wants.db || relu)  // something to compute: without relu no residual is written
            cases.push_back(batch_norm_backward_case({40, 24, training, relu, true}, t, wants));
    for (bool dx : {true, false})  // without a residual: the mask from x, or from y where x is not kept
      for (bool db : {true, false})
        if (dx || db) cases.push_back(batch_norm_backward_case({40, 24, false, true}, t, {dx, false, db}));
    add({0, 24, false, true}, t);
    add({5000, 3}, t);  // several parts of a sum, on each device
  }
  cases.push_back(batch_norm_forward_case({12000, 8, true, true}, DType::f32));
  cases.push_back(batch_norm_backward_case({12000, 8, true, true}, DType::f32));
  // Constant channels: the variance is 0 and eps alone keeps rstd finite, so y is b.
  cases.push_back(
      batch_norm_forward_case({64, 32, true, false, false, " constant", constant_values(0.75)}, DType::f32));
  // mean 1000, σ 0.01: a one-pass variance would be all cancellation. What rounding the mean to f32 costs is mean / σ.
  for (int64_t channels : {3, 32, 200})
    cases.push_back(batch_norm_forward_case(
        {600, channels, true, false, false, " mean 1000", normal_values(1, 1000, 0.01), 1e5}, DType::f32));
  // One value far from all others, the very first: statistics shifted by it would cancel.
  cases.push_back(batch_norm_forward_case(
      {600, 8, true, false, false, " outlier", [](int64_t i) { return i < 8 ? 1e4 : normal_values(1)(i); }},
      DType::f32));
  return cases;
}

inline std::vector<Gradient> batch_norm_gradients() {
  std::vector<Gradient> gradients;
  Generator g(1);
  const Tensor x = normal({3, 2, 2, 5}, 0.3, 1, g, DType::f64), residual = normal({3, 2, 2, 5}, 0, 1, g, DType::f64),
               w = uniform({5}, 0.5, 1.5, g, DType::f64), b = normal({5}, 0, 0.5, g, DType::f64);
  for (bool training : {true, false})
    for (bool relu : {true, false})
      for (bool add : {true, false}) {
        const auto f = [=](const std::vector<Tensor>& in) {
          // Fresh running statistics at each call: training updates them.
          return batch_norm(in[0], in[1], in[2], full({5}, 0.2, DType::f64), full({5}, 1.5, DType::f64),
                            {.training = training, .relu = relu}, add ? in[3] : Tensor{});
        };
        std::vector<Tensor> inputs{x, w, b};
        if (add) inputs.push_back(residual);
        gradients.push_back({format("batch_norm{}{}{}", training ? " training" : " frozen", relu ? " relu" : "",
                                    add ? " residual" : ""),
                             f, inputs});
      }
  return gradients;
}

static const CaseFamily batch_norm_family{"batch_norm", batch_norm_cases, batch_norm_gradients};

}  // namespace holt::test
