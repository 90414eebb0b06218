// The truth about cross_entropy: inputs, a double-precision reference from the definition, bytes and flops.
#pragma once
#include <limits>

#include "core/ops.h"
#include "kernels/cross_entropy.h"
#include "tests/harness/case.h"

namespace holt::test {

struct CrossEntropyInput {
  int64_t rows, cols;
  double smoothing = 0;
  bool masked = false;  // every third class is not allowed
  double shift = 0;     // added to all logits: changes nothing
};

inline bool allowed_class(const CrossEntropyInput& in, int64_t c) { return !in.masked || c % 3 != 1; }

inline Init label_values(const CrossEntropyInput& in) {
  return [=](int64_t r) {
    int64_t label = int64_t(philox(5, 5, uint64_t(r)).v[0]) % in.cols;
    while (!allowed_class(in, label)) label = (label + 1) % in.cols;
    return double(label);
  };
}

inline Init logit_values(const CrossEntropyInput& in) {
  // Multiples of 1/64, so that the shift is exact in float.
  return [=](int64_t i) { return std::round(64 * normal_values(1, 0, 2)(i)) / 64 + in.shift; };
}

inline std::string describe(const CrossEntropyInput& in) {
  return format("[{}, {}]{}{}{}", in.rows, in.cols, in.smoothing ? format(" smoothing {}", in.smoothing) : "",
                in.masked ? " masked" : "", in.shift ? format(" around {}", in.shift) : "");
}

// max, Σ exp(z − max), Σ (z − max) and the number of allowed classes of a row.
struct RowSums {
  double max = -std::numeric_limits<double>::infinity(), sum = 0, shifted = 0, count = 0;
  RowSums(const CrossEntropyInput& in, const double* z) {
    for (int64_t c = 0; c < in.cols; ++c)
      if (allowed_class(in, c)) max = std::max(max, z[c]);
    for (int64_t c = 0; c < in.cols; ++c)
      if (allowed_class(in, c)) {
        sum += std::exp(z[c] - max);
        shifted += z[c] - max;
        count += 1;
      }
  }
};

inline Case cross_entropy_forward_case(const CrossEntropyInput& in, DType t) {
  const int64_t R = in.rows, C = in.cols;
  const DType stats = t == DType::f64 ? DType::f64 : DType::f32;
  Case c{"cross_entropy_forward", describe(in), t};
  const Init mask = [=](int64_t k) { return allowed_class(in, k) ? 1 : 0; };
  c.args = {{"logits", Argument::in, t, R * C, logit_values(in)},
            {"labels", Argument::in, DType::i64, R, label_values(in)},
            {"mask", Argument::in, DType::u8, in.masked ? C : -1, mask},
            {"loss", Argument::out, stats, 1, {}, C + R},
            {"row_loss", Argument::out, stats, R, {}, C},
            {"row_max", Argument::out, stats, R, {}, 1, 1, true},
            {"row_sum", Argument::out, stats, R, {}, C}};
  c.reference = [=](Values& v) {
    auto &z = v[0], &label = v[1], &loss = v[3], &row_loss = v[4], &row_max = v[5], &row_sum = v[6];
    loss[0] = 0;
    for (int64_t r = 0; r < R; ++r) {
      const RowSums s(in, &z[r * C]);
      row_max[r] = s.max;
      row_sum[r] = s.sum;
      row_loss[r] = std::log(s.sum) - (1 - in.smoothing) * (z[r * C + int64_t(label[r])] - s.max) -
                    in.smoothing / s.count * s.shifted;
      loss[0] += row_loss[r] / double(R);
    }
  };
  c.run = [=](Device d, const std::vector<void*>& p) {
    on(d, t, "cross_entropy", Floats{}, [&]<class T>(auto dev, T) {
      using A = acc_t<T>;
      cross_entropy_forward(dev, CrossEntropy{R, C, in.smoothing}, as<const T>(p[0]), as<const int64_t>(p[1]),
                            as<const uint8_t>(p[2]), as<A>(p[3]), as<A>(p[4]), as<A>(p[5]), as<A>(p[6]));
    });
  };
  c.rungs.assign(cross_entropy_forward_rungs.names.begin(), cross_entropy_forward_rungs.names.end());
  c.bytes = 1.0 * R * C * size_of(t);
  c.flops = 25.0 * R * C;
  return c;
}

inline Case cross_entropy_backward_case(const CrossEntropyInput& in, DType t) {
  const int64_t R = in.rows, C = in.cols;
  const DType stats = t == DType::f64 ? DType::f64 : DType::f32;
  Case c{"cross_entropy_backward", describe(in), t};
  const Init mask = [=](int64_t k) { return allowed_class(in, k) ? 1 : 0; };
  // row_max and row_sum as a forward would leave them, near enough: the kernel cannot tell.
  c.args = {{"dloss", Argument::in, stats, 1, constant_values(1.5)},
            {"logits", Argument::in, t, R * C, logit_values(in)},
            {"labels", Argument::in, DType::i64, R, label_values(in)},
            {"mask", Argument::in, DType::u8, in.masked ? C : -1, mask},
            {"row_max", Argument::in, stats, R, constant_values(6 + in.shift)},
            {"row_sum", Argument::in, stats, R, uniform_values(3, 0.02 * double(C), 0.03 * double(C))},
            {"dlogits", Argument::out, t, R * C, {}, C}};
  c.reference = [=](Values& v) {
    auto &z = v[1], &label = v[2], &row_max = v[4], &row_sum = v[5], &dz = v[6];
    for (int64_t r = 0; r < R; ++r) {
      const double count = RowSums(in, &z[r * C]).count;
      for (int64_t k = 0; k < C; ++k) {
        const double p = std::exp(z[r * C + k] - row_max[r]) / row_sum[r];
        const double target = (k == int64_t(label[r]) ? 1 - in.smoothing : 0) + in.smoothing / count;
        dz[r * C + k] = !allowed_class(in, k) ? 0 : 1.5 / double(R) * (p - target);
      }
    }
  };
  c.run = [=](Device d, const std::vector<void*>& p) {
    on(d, t, "cross_entropy", Floats{}, [&]<class T>(auto dev, T) {
      using A = acc_t<T>;
      cross_entropy_backward(dev, CrossEntropy{R, C, in.smoothing}, as<const A>(p[0]), as<const T>(p[1]),
                             as<const int64_t>(p[2]), as<const uint8_t>(p[3]), as<const A>(p[4]), as<const A>(p[5]),
                             as<T>(p[6]));
    });
  };
  c.rungs.assign(cross_entropy_backward_rungs.names.begin(), cross_entropy_backward_rungs.names.end());
  c.bytes = 2.0 * R * C * size_of(t);
  c.flops = 25.0 * R * C;
  return c;
}

inline std::vector<Case> cross_entropy_cases(Scope scope) {
  std::vector<Case> cases;
  const auto add = [&](const CrossEntropyInput& in, DType t) {
    cases.push_back(cross_entropy_forward_case(in, t));
    cases.push_back(cross_entropy_backward_case(in, t));
  };
  if (scope == Scope::bench) {
    for (DType t : {DType::f32, DType::bf16}) add({16 * 1024, 1000}, t);
    return cases;
  }
  if (scope == Scope::race) {
    add({5, 40, 0.1, true}, DType::f32);
    add({5, 33}, DType::f32);
    return cases;
  }
  for (DType t : {DType::f32, DType::bf16, DType::f16, DType::f64}) {
    for (int64_t cols : {1, 10, 31, 32, 33, 1000, 1025, 4099})
      for (int64_t rows : {1, 5}) add({rows, cols}, t);
    for (double smoothing : {0.0, 0.1, 1.0})
      for (bool masked : {false, true}) add({37, 65, smoothing, masked}, t);
    add({300, 8, 0.1, true}, t);
  }
  add({16, 10, 0.1, false, 4096}, DType::f32);  // m and S apart: no digit is lost to the shift
  return cases;
}

inline std::vector<Gradient> cross_entropy_gradients() {
  Generator g(1);
  const Tensor logits = normal({4, 6}, 0, 2, g, DType::f64);
  const Tensor labels = from<int64_t>({3, 0, 2, 5}, {4}), mask = from<uint8_t>({1, 0, 1, 1, 0, 1}, {6});
  const auto loss = [=](CrossEntropyOptions options) {
    return [=](const std::vector<Tensor>& in) { return cross_entropy(in[0], labels, options); };
  };
  return {{"cross_entropy", loss({}), {logits}},
          {"cross_entropy smoothing", loss({.label_smoothing = 0.1}), {logits}},
          {"cross_entropy smoothing and mask", loss({.label_smoothing = 0.1, .class_mask = mask}), {logits}}};
}

static const CaseFamily cross_entropy_family{"cross_entropy", cross_entropy_cases, cross_entropy_gradients};

}  // namespace holt::test
