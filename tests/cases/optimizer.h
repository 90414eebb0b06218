// The truth about the optimisers' kernels: the papers' formulas in double, over several steps and several parameters.
#pragma once
#include <limits>
#include <numeric>

#include "kernels/optimizer.h"
#include "tests/harness/case.h"

namespace holt::test {

using GradientTypes = Types<float, bf16, f16>;
using Sizes = std::vector<int64_t>;

inline constexpr int kSteps = 3;

inline std::string to_string(const Sizes& sizes) {
  std::string s;
  for (int64_t n : sizes) s += (s.empty() ? "[" : ", ") + std::to_string(n);
  return sizes.size() > 8 ? format("[{} parameters]", sizes.size()) : s + "]";
}

// The arguments: for each parameter its elements, gradient and `states` states; at the end the scale.
inline std::vector<Argument> optimizer_arguments(const Sizes& sizes, DType g, int states, bool scaled) {
  std::vector<Argument> args;
  uint64_t stream = 20;
  for (int64_t n : sizes) {
    args.push_back({"param", Argument::inout, DType::f32, n, normal_values(++stream), kSteps});
    args.push_back({"grad", Argument::in, g, n, normal_values(++stream, 0, 0.1)});
    for (int s = 0; s < states; ++s)  // the second moment is never negative
      args.push_back({format("state{}", s), Argument::inout, DType::f32, n, uniform_values(++stream, 0, 0.01), kSteps});
  }
  args.push_back({"scale", Argument::in, DType::f32, scaled ? 1 : -1, constant_values(0.375)});
  return args;
}

template <class G>
std::vector<OptimizerSlot<G>> optimizer_slots(const Sizes& sizes, int states, const std::vector<void*>& p) {
  std::vector<OptimizerSlot<G>> slots;
  for (size_t i = 0, a = 0; i < sizes.size(); ++i, a += 2 + static_cast<size_t>(states))
    slots.push_back({as<float>(p[a]),
                     as<const G>(p[a + 1]),
                     {states > 0 ? as<float>(p[a + 2]) : nullptr, states > 1 ? as<float>(p[a + 3]) : nullptr},
                     sizes[i]});
  return slots;
}

inline Case sgd_case(const Sizes& sizes, DType t, const Sgd& o, bool scaled, int steps = kSteps) {
  const int states = o.momentum != 0 ? 1 : 0;
  Case c{"sgd_step",
         format("{} momentum {} decay {}{}{}", to_string(sizes), o.momentum, o.weight_decay,
                o.nesterov ? " nesterov" : "", scaled ? " scaled" : ""),
         t};
  c.args = optimizer_arguments(sizes, t, states, scaled);
  c.reference = [=](Values& v) {
    const double s = scaled ? v.back()[0] : 1;
    for (size_t a = 0; a + 1 < v.size(); a += 2 + static_cast<size_t>(states))
      for (size_t i = 0; i < v[a].size(); ++i)
        for (int k = 0; k < steps; ++k) {
          double& p = v[a][i];
          const double g = s * v[a + 1][i] + o.weight_decay * p;
          if (states == 0) {
            p -= o.lr * g;
          } else {
            double& b = v[a + 2][i];
            b = o.momentum * b + g;
            p -= o.lr * (o.nesterov ? g + o.momentum * b : b);
          }
        }
  };
  c.run = [=](Device d, const std::vector<void*>& p) {
    on(d, t, "sgd_step", GradientTypes{}, [&]<class G>(auto dev, G) {
      const auto slots = optimizer_slots<G>(sizes, states, p);
      for (int k = 0; k < steps; ++k)
        sgd_step(dev, o, std::span<const OptimizerSlot<G>>(slots), as<const float>(p.back()));
    });
  };
  c.rungs.assign(sgd_step_rungs.names.begin(), sgd_step_rungs.names.end());
  const double n = static_cast<double>(std::accumulate(sizes.begin(), sizes.end(), int64_t{0})) * steps;
  c.bytes = n * (8 + 8 * states + static_cast<double>(size_of(t)));
  c.flops = n * (4 + 3 * states);
  return c;
}

inline Case adamw_case(const Sizes& sizes, DType t, const AdamW& o, bool scaled, int steps = kSteps) {
  Case c{"adamw_step",
         format("{} from step {} decay {}{}", to_string(sizes), o.step, o.weight_decay, scaled ? " scaled" : ""), t};
  c.args = optimizer_arguments(sizes, t, 2, scaled);
  c.reference = [=](Values& v) {
    const double s = scaled ? v.back()[0] : 1;
    for (size_t a = 0; a + 1 < v.size(); a += 4)
      for (size_t i = 0; i < v[a].size(); ++i)
        for (int k = 0; k < steps; ++k) {
          const double t_now = static_cast<double>(o.step + k), g = s * v[a + 1][i];
          double &p = v[a][i], &m = v[a + 2][i], &u = v[a + 3][i];
          p -= o.lr * o.weight_decay * p;
          m = o.beta1 * m + (1 - o.beta1) * g;
          u = o.beta2 * u + (1 - o.beta2) * g * g;
          const double m_hat = m / (1 - std::pow(o.beta1, t_now)), u_hat = u / (1 - std::pow(o.beta2, t_now));
          p -= o.lr * m_hat / (std::sqrt(u_hat) + o.eps);
        }
  };
  c.run = [=](Device d, const std::vector<void*>& p) {
    on(d, t, "adamw_step", GradientTypes{}, [&]<class G>(auto dev, G) {
      const auto slots = optimizer_slots<G>(sizes, 2, p);
      AdamW now = o;
      for (int k = 0; k < steps; ++k, ++now.step)
        adamw_step(dev, now, std::span<const OptimizerSlot<G>>(slots), as<const float>(p.back()));
    });
  };
  c.rungs.assign(adamw_step_rungs.names.begin(), adamw_step_rungs.names.end());
  const double n = static_cast<double>(std::accumulate(sizes.begin(), sizes.end(), int64_t{0})) * steps;
  c.bytes = n * (24 + static_cast<double>(size_of(t)));
  c.flops = n * 13;
  return c;
}

inline Case grad_norm_case(const Sizes& sizes, DType t, double max_norm, double unscale) {
  const int64_t n = std::accumulate(sizes.begin(), sizes.end(), int64_t{0});
  Case c{"grad_norm", format("{} max {} unscale {}", to_string(sizes), max_norm, unscale), t};
  for (size_t i = 0; i < sizes.size(); ++i)
    c.args.push_back({"grad", Argument::in, t, sizes[i], normal_values(50 + i, 0, i % 2 ? 0.01 : 10)});
  c.args.push_back({"norm", Argument::out, DType::f32, 2, {}, n});
  c.reference = [=](Values& v) {
    double squares = 0;
    for (size_t i = 0; i + 1 < v.size(); ++i)
      for (double g : v[i]) squares += unscale * g * unscale * g;
    v.back() = {std::sqrt(squares), unscale * std::min(1.0, max_norm / (std::sqrt(squares) + 1e-6))};
  };
  c.run = [=](Device d, const std::vector<void*>& p) {
    on(d, t, "grad_norm", GradientTypes{}, [&]<class G>(auto dev, G) {
      std::vector<OptimizerSlot<G>> slots;
      for (size_t i = 0; i < sizes.size(); ++i) slots.push_back({nullptr, as<const G>(p[i]), {}, sizes[i]});
      grad_norm(dev, std::span<const OptimizerSlot<G>>(slots), unscale, max_norm, as<float>(p.back()));
    });
  };
  c.rungs.assign(grad_norm_rungs.names.begin(), grad_norm_rungs.names.end());
  c.bytes = static_cast<double>(n) * static_cast<double>(size_of(t));
  c.flops = 2.0 * static_cast<double>(n);
  return c;
}

inline std::vector<Case> optimizer_cases(Scope scope) {
  const double inf = std::numeric_limits<double>::infinity();
  std::vector<Case> cases;
  if (scope == Scope::bench) {
    Sizes vit;  // ViT-B's encoder: 12 blocks of [768 → 2304], [768 → 768], [768 → 3072], [3072 → 768]
    for (int block = 0; block < 12; ++block)
      for (int64_t n : {768, 768, 2304 * 768, 2304, 768 * 768, 768, 768, 768, 3072 * 768, 3072, 768 * 3072, 768})
        vit.push_back(n);
    cases.push_back(sgd_case(vit, DType::f32, {.lr = 1e-6, .momentum = 0.9, .weight_decay = 1e-4}, false, 1));
    cases.push_back(adamw_case(vit, DType::f32, {.lr = 1e-6, .step = 10}, false, 1));
    cases.push_back(grad_norm_case(vit, DType::f32, 1, 1));
    return cases;
  }
  if (scope == Scope::race) {
    const Sizes sizes{9, kOptimizerChunk + 70};
    cases.push_back(sgd_case(sizes, DType::f32, {.lr = 0.1, .momentum = 0.9, .nesterov = true}, true, 1));
    cases.push_back(adamw_case(sizes, DType::bf16, {.lr = 0.1, .step = 1}, false, 1));
    cases.push_back(grad_norm_case(sizes, DType::f32, 1, 1));
    return cases;
  }
  const Sizes several{1, 0, 31, 4099, 0, 0, 2 * kOptimizerChunk, kOptimizerChunk + 2, 33, 0};
  Sizes many;
  for (int64_t i = 0; i < 100; ++i) many.push_back(i * 7 % 40);
  for (DType t : {DType::f32, DType::bf16, DType::f16}) {
    for (const Sizes& sizes : {Sizes{}, Sizes{0}, Sizes{1025}, several, many}) {
      cases.push_back(sgd_case(sizes, t, {.lr = 0.1, .momentum = 0.9, .weight_decay = 1e-2}, false));
      cases.push_back(adamw_case(sizes, t, {.lr = 0.1, .step = 1}, true));
      cases.push_back(grad_norm_case(sizes, t, 0.5, 1));
    }
    cases.push_back(sgd_case(several, t, {.lr = 0.1}, true));
    cases.push_back(sgd_case(several, t, {.lr = 0.1, .weight_decay = 0.1}, false));
    cases.push_back(sgd_case(several, t, {.lr = 0.1, .momentum = 0.8, .nesterov = true}, true));
    cases.push_back(
        adamw_case(several, t, {.lr = 0.01, .beta1 = 0.8, .beta2 = 0.95, .weight_decay = 0, .step = 1000}, false));
    cases.push_back(grad_norm_case(several, t, inf, 0x1p-16));
    cases.push_back(grad_norm_case(several, t, 1e9, 1));
  }
  return cases;
}

static const CaseFamily optimizer_family{"optimizer", optimizer_cases};

}  // namespace holt::test
