// The truth about kl_divergence: inputs, a double-precision reference from the definition, bytes and flops.
#pragma once
#include <limits>

#include "core/ops.h"
#include "kernels/kl_divergence.h"
#include "tests/harness/case.h"

namespace holt::test {

struct KlInput {
  int64_t rows, cols;
  double temperature = 1;
  bool masked = false;  // every third class is not allowed, and its logits are infinite or NaN
  const char* name = "";
  double shift = 0;    // added to the teacher's logits: changes nothing
  double spread = 2;   // of the logits
  bool equal = false;  // the teacher's logits are the student's
};

inline bool kl_allowed(const KlInput& in, int64_t c) { return !in.masked || c % 3 != 1; }

inline Init kl_logits(const KlInput& in, uint64_t stream, double shift) {
  // Multiples of 1/64, so that the shift is exact in float.
  return [=](int64_t i) {
    if (!kl_allowed(in, i % in.cols)) return i % 2 ? std::nan("") : std::numeric_limits<double>::infinity();
    return std::round(64 * normal_values(stream, 0, in.spread)(i)) / 64 + shift;
  };
}
inline Init kl_student(const KlInput& in) { return kl_logits(in, 1, 0); }
inline Init kl_teacher(const KlInput& in) { return kl_logits(in, in.equal ? 1 : 2, in.shift); }
inline Init kl_mask(const KlInput& in) {
  return [=](int64_t c) { return kl_allowed(in, c) ? 1 : 0; };
}

/// A row's largest allowed logit and Σ exp((z − max)/T).
struct KlSoftmax {
  double max = -std::numeric_limits<double>::infinity(), sum = 0;
  KlSoftmax(const KlInput& in, const double* z) {
    for (int64_t c = 0; c < in.cols; ++c)
      if (kl_allowed(in, c)) max = std::max(max, z[c]);
    for (int64_t c = 0; c < in.cols; ++c)
      if (kl_allowed(in, c)) sum += std::exp((z[c] - max) / in.temperature);
  }
  double log_probability(const KlInput& in, double z) const { return (z - max) / in.temperature - std::log(sum); }
};

inline std::string describe(const KlInput& in) {
  return format("[{}, {}]{}{}{}", in.rows, in.cols, in.temperature != 1 ? format(" T {}", in.temperature) : "",
                in.masked ? " masked" : "", in.name);
}

inline Case kl_divergence_forward_case(const KlInput& in, DType t) {
  const int64_t R = in.rows, C = in.cols;
  const DType stats = t == DType::f64 ? DType::f64 : DType::f32;
  Case c{"kl_divergence_forward", describe(in), t};
  c.args = {{"teacher", Argument::in, t, R * C, kl_teacher(in)},
            {"logits", Argument::in, t, R * C, kl_student(in)},
            {"mask", Argument::in, DType::u8, in.masked ? C : -1, kl_mask(in)},
            {"loss", Argument::out, stats, 1, {}, C + R},
            {"row_loss", Argument::out, stats, R, {}, C},
            {"row_stats", Argument::out, stats, 4 * R, {}, C}};
  c.reference = [=](Values& v) {
    auto &teacher = v[0], &logits = v[1], &loss = v[3], &row_loss = v[4], &row_stats = v[5];
    loss[0] = 0;
    for (int64_t r = 0; r < R; ++r) {
      const KlSoftmax p(in, &teacher[r * C]), q(in, &logits[r * C]);
      row_loss[r] = 0;
      for (int64_t k = 0; k < C; ++k) {
        const double log_p = p.log_probability(in, teacher[r * C + k]);
        const double log_q = q.log_probability(in, logits[r * C + k]);
        if (kl_allowed(in, k) && std::exp(log_p) > 0) row_loss[r] += std::exp(log_p) * (log_p - log_q);
      }
      loss[0] += row_loss[r] / double(R);
      row_stats[4 * r] = p.max;
      row_stats[4 * r + 1] = p.sum;
      row_stats[4 * r + 2] = q.max;
      row_stats[4 * r + 3] = q.sum;
    }
  };
  c.run = [=](Device d, const std::vector<void*>& p) {
    on(d, t, "kl_divergence", Floats{}, [&]<class T>(auto dev, T) {
      using A = acc_t<T>;
      kl_divergence_forward(dev, KlDivergence{R, C, 1 / in.temperature}, as<const T>(p[0]), as<const T>(p[1]),
                            as<const uint8_t>(p[2]), as<A>(p[3]), as<A>(p[4]), as<A>(p[5]));
    });
  };
  c.rungs.assign(kl_divergence_forward_rungs.names.begin(), kl_divergence_forward_rungs.names.end());
  c.bytes = 2.0 * double(R) * double(C) * double(size_of(t));
  c.flops = 50.0 * double(R) * double(C);
  return c;
}

inline Case kl_divergence_backward_case(const KlInput& in, DType t) {
  const int64_t R = in.rows, C = in.cols;
  const DType stats = t == DType::f64 ? DType::f64 : DType::f32;
  Case c{"kl_divergence_backward", describe(in), t};
  // Statistics as a forward would leave them, near enough: the kernel cannot tell.
  const Init row_stats = [=](int64_t i) {
    const uint64_t stream = in.equal ? 3 : 3 + uint64_t(i % 4 / 2);
    if (i % 2 == 0) return 3 * in.spread + (i % 4 == 0 ? in.shift : 0);
    return uniform_values(stream, 0.02 * double(C), 0.03 * double(C))(i / 4);
  };
  c.args = {{"dloss", Argument::in, stats, 1, constant_values(1.5)},
            {"teacher", Argument::in, t, R * C, kl_teacher(in)},
            {"logits", Argument::in, t, R * C, kl_student(in)},
            {"mask", Argument::in, DType::u8, in.masked ? C : -1, kl_mask(in)},
            {"row_stats", Argument::in, stats, 4 * R, row_stats},
            {"dlogits", Argument::out, t, R * C, {}, C}};
  c.reference = [=](Values& v) {
    auto &teacher = v[1], &logits = v[2], &s = v[4], &dz = v[5];
    for (int64_t r = 0; r < R; ++r)
      for (int64_t k = 0; k < C; ++k) {
        const double p = std::exp((teacher[r * C + k] - s[4 * r]) / in.temperature) / s[4 * r + 1];
        const double q = std::exp((logits[r * C + k] - s[4 * r + 2]) / in.temperature) / s[4 * r + 3];
        dz[r * C + k] = kl_allowed(in, k) ? 1.5 / (double(R) * in.temperature) * (q - p) : 0;
      }
  };
  c.run = [=](Device d, const std::vector<void*>& p) {
    on(d, t, "kl_divergence", Floats{}, [&]<class T>(auto dev, T) {
      using A = acc_t<T>;
      kl_divergence_backward(dev, KlDivergence{R, C, 1 / in.temperature}, as<const A>(p[0]), as<const T>(p[1]),
                             as<const T>(p[2]), as<const uint8_t>(p[3]), as<const A>(p[4]), as<T>(p[5]));
    });
  };
  c.rungs.assign(kl_divergence_backward_rungs.names.begin(), kl_divergence_backward_rungs.names.end());
  c.bytes = 3.0 * double(R) * double(C) * double(size_of(t));
  c.flops = 50.0 * double(R) * double(C);
  return c;
}

inline std::vector<Case> kl_divergence_cases(Scope scope) {
  std::vector<Case> cases;
  const auto add = [&](const KlInput& in, DType t) {
    cases.push_back(kl_divergence_forward_case(in, t));
    cases.push_back(kl_divergence_backward_case(in, t));
  };
  if (scope == Scope::bench) {
    for (DType t : {DType::f32, DType::bf16}) add({16 * 1024, 1000, 2}, t);
    return cases;
  }
  if (scope == Scope::race) {
    add({5, 40, 2, true}, DType::f32);
    add({5, 33}, DType::f32);
    return cases;
  }
  for (DType t : {DType::f32, DType::bf16, DType::f16, DType::f64}) {
    for (int64_t cols : {1, 10, 31, 32, 33, 65, 1000, 1025, 4099})
      for (int64_t rows : {1, 5}) add({rows, cols}, t);
    for (double temperature : {0.5, 3.0})
      for (bool masked : {false, true}) add({37, 62, temperature, masked}, t);
    add({300, 8, 2, true}, t);
    // The first step of a distillation: not nearly 0, but 0.
    add({7, 62, 3, true, " equal", 0, 2, true}, t);
    // Nearly all p and q underflow to 0.
    cases.push_back(kl_divergence_forward_case({6, 33, 1, false, " spread 400", 0, 400}, t));
  }
  add({16, 10, 2, false, " teacher around 4096", 4096}, DType::f32);  // no digit is lost to the shift
  Case infinite = kl_divergence_forward_case({4, 9, 1, false, " teacher -inf"}, DType::f32);
  infinite.args[0].init = [init = infinite.args[0].init](int64_t i) {
    return i % 9 == 4 ? -std::numeric_limits<double>::infinity() : init(i);
  };
  cases.push_back(infinite);
  return cases;
}

inline std::vector<Gradient> kl_divergence_gradients() {
  Generator g(1);
  const Tensor logits = normal({4, 6}, 0, 2, g, DType::f64), teacher = normal({4, 6}, 0, 2, g, DType::f64);
  const Tensor mask = from<uint8_t>({1, 0, 1, 1, 0, 1}, {6});
  const auto loss = [=](double temperature, const Tensor& mask) {
    return [=](const std::vector<Tensor>& in) { return kl_divergence(teacher, in[0], temperature, mask); };
  };
  return {{"kl_divergence", loss(1, {}), {logits}}, {"kl_divergence T 2, masked", loss(2, mask), {logits}}};
}

static const CaseFamily kl_divergence_family{"kl_divergence", kl_divergence_cases, kl_divergence_gradients};

}  // namespace holt::test
