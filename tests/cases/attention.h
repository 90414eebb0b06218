// The truth about attention: inputs, a double-precision reference from the definition, bytes and flops.
#pragma once
#include "core/ops.h"
#include "kernels/attention.h"
#include "tests/harness/case.h"

namespace holt::test {

struct AttentionInput {
  int64_t B, H, Tq, Tk, D;
  bool packed = true;  // q, k and v in one [B, T, 3, H, D]; else each by itself
  const char* name = "";
  double spread = 1;     // of q's elements
  double condition = 1;  // how large scores are: their rounding is an exponential's relative error
};

// Where q, k and v, or their gradients, stand among the arguments, from argument `first` on.
struct AttentionLayout {
  AttentionInput in;
  size_t first;
  int64_t pitch() const { return (in.packed ? 3 : 1) * in.H * in.D; }
  size_t count() const { return in.packed ? 1 : 3; }
  Attention contract() const {
    return {in.B, in.H, in.Tq, in.Tk, in.D, 1 / std::sqrt(static_cast<double>(in.D)), pitch(), pitch()};
  }
  template <class X, class P>
  X* pointer(const P& p, int which) const {  // which: 0 q, 1 k, 2 v
    return in.packed ? as<X>(p[first]) + which * in.H * in.D : as<X>(p[first + which]);
  }
  double& at(Values& v, int which, int64_t b, int64_t t, int64_t h, int64_t d) const {
    const int64_t i = (b * (which == 0 ? in.Tq : in.Tk) + t) * pitch() + h * in.D + d;
    return in.packed ? v[first][i + which * in.H * in.D] : v[first + which][i];
  }
  void add(std::vector<Argument>& args, Argument::Role role, DType t, std::array<bool, 3> wants, int64_t terms) const {
    const int64_t row = in.H * in.D;
    const Init q = normal_values(1, 0, in.spread), k = normal_values(2), v = normal_values(3);
    const bool input = role == Argument::in;
    if (in.packed) {
      const Init all = [=](int64_t i) { return i / row % 3 == 0 ? q(i) : i / row % 3 == 1 ? k(i) : v(i); };
      args.push_back(
          {input ? "qkv" : "dqkv", role, t, in.B * in.Tq * 3 * row, input ? all : Init{}, terms, in.condition});
      return;
    }
    const char* names[] = {input ? "q" : "dq", input ? "k" : "dk", input ? "v" : "dv"};
    const Init inits[] = {q, k, v};
    for (int i = 0; i < 3; ++i)
      args.push_back({names[i], role, t, wants[i] ? in.B * (i == 0 ? in.Tq : in.Tk) * row : -1,
                      input ? inits[i] : Init{}, terms, in.condition});
  }
  std::string shape() const {
    return format("[{}, {}, {}{}, {}]{}", in.B, in.H, in.Tq, in.packed ? "" : format("×{}", in.Tk), in.D, in.name);
  }
};

inline Case attention_forward_case(const AttentionInput& in, DType t) {
  const DType stats = t == DType::f64 ? DType::f64 : DType::f32;
  const AttentionLayout x{in, 0};
  const auto [B, H, Tq, Tk, D, packed, name, spread, condition] = in;
  const int64_t terms = D + Tk;
  Case c{"attention_forward", x.shape(), t};
  x.add(c.args, Argument::in, t, {true, true, true}, 1);
  const size_t out = c.args.size();
  c.args.push_back({"o", Argument::out, t, B * Tq * H * D, {}, terms, condition});
  c.args.push_back({"lse", Argument::out, stats, B * H * Tq, {}, terms});
  const Attention p = x.contract();
  c.reference = [=, B = B, H = H, Tq = Tq, Tk = Tk, D = D](Values& v) {
    for (int64_t b = 0; b < B; ++b)
      for (int64_t h = 0; h < H; ++h)
        for (int64_t i = 0; i < Tq; ++i) {
          std::vector<double> s(Tk), o(D);
          double max = -INFINITY, sum = 0;
          for (int64_t j = 0; j < Tk; ++j) {
            for (int64_t d = 0; d < D; ++d) s[j] += p.scale * x.at(v, 0, b, i, h, d) * x.at(v, 1, b, j, h, d);
            max = std::max(max, s[j]);
          }
          for (int64_t j = 0; j < Tk; ++j) {
            const double e = std::exp(s[j] - max);
            sum += e;
            for (int64_t d = 0; d < D; ++d) o[d] += e * x.at(v, 2, b, j, h, d);
          }
          for (int64_t d = 0; d < D; ++d) v[out][((b * Tq + i) * H + h) * D + d] = o[d] / sum;
          v[out + 1][(b * H + h) * Tq + i] = max + std::log(sum);
        }
  };
  c.run = [=](Device d, const std::vector<void*>& q) {
    on(d, t, "attention", Floats{}, [&]<class T>(auto dev, T) {
      attention_forward(dev, p, x.pointer<const T>(q, 0), x.pointer<const T>(q, 1), x.pointer<const T>(q, 2),
                        as<T>(q[out]), as<acc_t<T>>(q[out + 1]));
    });
  };
  c.rungs.assign(attention_forward_rungs.names.begin(), attention_forward_rungs.names.end());
  c.bytes = 2.0 * B * (Tq + Tk) * H * D * size_of(t);
  c.flops = 4.0 * B * H * Tq * Tk * D;
  return c;
}

// wants: which of dq, dk, dv the caller asks for (all, if packed).
inline Case attention_backward_case(const AttentionInput& in, DType t, std::array<bool, 3> wants = {true, true, true}) {
  const DType stats = t == DType::f64 ? DType::f64 : DType::f32;
  const AttentionLayout x{in, 0};
  AttentionLayout dx{in, x.count() + 3};
  const auto [B, H, Tq, Tk, D, packed, name, spread, condition] = in;
  const size_t given = x.count();
  Case c{"attention_backward",
         x.shape() + format("{}{}{}", wants[0] ? " dq" : "", wants[1] ? " dk" : "", wants[2] ? " dv" : ""), t};
  x.add(c.args, Argument::in, t, {true, true, true}, 1);
  // o and lse near what the forward would give; the formula holds for any.
  const double about = std::log(static_cast<double>(Tk)) + spread * spread / 2;
  c.args.push_back({"do", Argument::in, t, B * Tq * H * D, uniform_values(4)});
  c.args.push_back({"o", Argument::in, t, B * Tq * H * D, uniform_values(5, -0.5, 0.5)});
  c.args.push_back({"lse", Argument::in, stats, B * H * Tq, uniform_values(6, about - 0.5, about + 0.5)});
  // Sums of 16-bit numbers may be made of 16-bit terms: p and ds are rounded before they are multiplied. p and dp −
  // delta are far from even, so of a few terms that cancel the largest is up to ten times the result's rms: eps / 2 of
  // that is 2.5 times the tolerance's 2·eps.
  dx.in.condition = size_of(t) == 2 ? 2.5 : 1;
  dx.add(c.args, Argument::out, t, wants, D + std::max(Tq, Tk));
  const Attention p = x.contract();
  c.reference = [=, B = B, H = H, Tq = Tq, Tk = Tk, D = D](Values& v) {
    for (size_t a = given + 3; a < v.size(); ++a) std::fill(v[a].begin(), v[a].end(), 0);
    for (int64_t b = 0; b < B; ++b)
      for (int64_t h = 0; h < H; ++h)
        for (int64_t i = 0; i < Tq; ++i) {
          const double* dout = &v[given][((b * Tq + i) * H + h) * D];
          const double* o = &v[given + 1][((b * Tq + i) * H + h) * D];
          double delta = 0;
          for (int64_t d = 0; d < D; ++d) delta += dout[d] * o[d];
          for (int64_t j = 0; j < Tk; ++j) {
            double s = 0, dp = 0;
            for (int64_t d = 0; d < D; ++d) {
              s += p.scale * x.at(v, 0, b, i, h, d) * x.at(v, 1, b, j, h, d);
              dp += dout[d] * x.at(v, 2, b, j, h, d);
            }
            const double w = std::exp(s - v[given + 2][(b * H + h) * Tq + i]), ds = p.scale * w * (dp - delta);
            for (int64_t d = 0; d < D; ++d) {
              if (wants[0]) dx.at(v, 0, b, i, h, d) += ds * x.at(v, 1, b, j, h, d);
              if (wants[1]) dx.at(v, 1, b, j, h, d) += ds * x.at(v, 0, b, i, h, d);
              if (wants[2]) dx.at(v, 2, b, j, h, d) += w * dout[d];
            }
          }
        }
  };
  c.run = [=](Device d, const std::vector<void*>& q) {
    on(d, t, "attention", Floats{}, [&]<class T>(auto dev, T) {
      attention_backward(dev, p, as<const T>(q[given]), x.pointer<const T>(q, 0), x.pointer<const T>(q, 1),
                         x.pointer<const T>(q, 2), as<const T>(q[given + 1]), as<const acc_t<T>>(q[given + 2]),
                         dx.pointer<T>(q, 0), dx.pointer<T>(q, 1), dx.pointer<T>(q, 2));
    });
  };
  c.rungs.assign(attention_backward_rungs.names.begin(), attention_backward_rungs.names.end());
  c.bytes = 4.0 * B * (Tq + Tk) * H * D * size_of(t);
  c.flops = 10.0 * B * H * Tq * Tk * D;
  return c;
}

inline std::vector<Case> attention_cases(Scope scope) {
  std::vector<Case> cases;
  const auto both = [&](const AttentionInput& in, DType t) {
    cases.push_back(attention_forward_case(in, t));
    cases.push_back(attention_backward_case(in, t));
  };
  if (scope == Scope::bench) {
    for (DType t : {DType::f32, DType::bf16}) {
      both({16, 12, 197, 197, 64, true, " ViT-B/16"}, t);
      both({2, 12, 1025, 1025, 64, true, " ViT-B/16 at 512²"}, t);
      both({8, 16, 257, 257, 80, true, " ViT-H/14"}, t);
    }
    return cases;
  }
  if (scope == Scope::study) {  // two heads of an image in ViT
    for (DType t : {DType::f32, DType::bf16}) both({1, 2, 197, 197, 64}, t);
    return cases;
  }
  if (scope == Scope::race) {
    // One block and two of each side, vectors and single elements (the harness shifts pointers).
    for (DType t : {DType::f32, DType::bf16})
      for (auto [tq, tk, d] : {std::array<int64_t, 3>{5, 5, 16}, {70, 70, 32}}) both({1, 1, tq, tk, d}, t);
    both({1, 1, 33, 34, 104, false}, DType::f32);
    return cases;
  }
  for (DType t : {DType::f32, DType::bf16, DType::f16, DType::f64}) {
    both({0, 2, 5, 5, 64}, t);
    both({2, 3, 1, 1, 64}, t);
    both({1, 2, 31, 31, 32}, t);
    both({2, 2, 33, 33, 40}, t);
    both({1, 1, 130, 130, 96}, t);
    both({1, 3, 197, 197, 64, true, " ViT-Ti"}, t);
    both({2, 1, 67, 67, 128}, t);
    both({1, 1, 32, 32, 8}, t);
    both({2, 2, 7, 33, 24, false}, t);
    both({1, 1, 3, 4099, 32, false}, t);
    both({1, 1, 1025, 3, 32, false}, t);
    both({1, 1, 0, 7, 64, false}, t);
    both({1, 2, 97, 1, 16, false}, t);
    both({1, 1, 95, 257, 48, false}, t);
    both({1, 1, 19, 301, 32, false, " equal scores", 0}, t);
    for (auto wants : {std::array{true, false, false}, {false, true, false}, {false, false, true}, {true, false, true}})
      cases.push_back(attention_backward_case({1, 2, 65, 40, 64, false}, t, wants));
    // Scores up to about ±60: one key takes nearly all the weight, and a sum without the maximum's subtraction
    // overflows.
    cases.push_back(attention_forward_case({1, 1, 40, 300, 64, false, " large scores", 20, 60}, t));
  }
  return cases;
}

inline std::vector<Gradient> attention_gradients() {
  Generator g(1);
  const auto made = [&](const Shape& s) { return normal(s, 0, 1, g, DType::f64); };
  return {{"attention packed", [](const std::vector<Tensor>& in) { return attention(in[0]); }, {made({2, 5, 3, 2, 8})}},
          {"attention",
           [](const std::vector<Tensor>& in) { return attention(in[0], in[1], in[2], 0.7); },
           {made({1, 3, 2, 16}), made({1, 4, 2, 16}), made({1, 4, 2, 16})}}};
}

static const CaseFamily attention_family{"attention", attention_cases, attention_gradients};

}  // namespace holt::test
