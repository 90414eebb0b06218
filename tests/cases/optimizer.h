// The truth about the optimisers' kernels: the papers' formulas in double, over several steps and several parameters.
#pragma once
#include <limits>
#include <numeric>
#include <optional>

#include "kernels/memory.h"
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

// What the device tells the step, in its own memory; null stands for StepControl{}.
class DeviceControl {
 public:
  DeviceControl(Device d, const std::optional<StepControl>& c)
      : memory_(d, sizeof(StepControl)), given_(c.has_value()) {
    if (c) copy_bytes(d, memory_.as<void>(), Device::cpu, &*c, sizeof *c);
  }
  StepControl* get() const { return given_ ? memory_.as<StepControl>() : nullptr; }

 private:
  Workspace memory_;
  bool given_;
};
using Control = std::optional<StepControl>;
const Control kNoControl;

inline std::string to_string(const Control& c) {
  return c ? format(" scale {} lr·{} t{:+}{}", c->scale, c->lr_factor, c->step_offset, c->skip ? " skip" : "") : "";
}

// The arguments: for each parameter its elements, gradient and `states` states.
inline std::vector<Argument> optimizer_arguments(const Sizes& sizes, DType g, int states) {
  std::vector<Argument> args;
  uint64_t stream = 20;
  for (int64_t n : sizes) {
    args.push_back({"param", Argument::inout, DType::f32, n, normal_values(++stream), kSteps});
    args.push_back({"grad", Argument::in, g, n, normal_values(++stream, 0, 0.1)});
    for (int s = 0; s < states; ++s)  // the second moment is never negative
      args.push_back({format("state{}", s), Argument::inout, DType::f32, n, uniform_values(++stream, 0, 0.01), kSteps});
  }
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

inline Case sgd_case(const Sizes& sizes, DType t, const Sgd& o, const Control& control, int steps = kSteps) {
  const int states = o.momentum != 0 ? 1 : 0;
  Case c{"sgd_step",
         format("{} momentum {} decay {}{}{}", to_string(sizes), o.momentum, o.weight_decay,
                o.nesterov ? " nesterov" : "", to_string(control)),
         t};
  c.args = optimizer_arguments(sizes, t, states);
  c.reference = [=](Values& v) {
    const StepControl now = control.value_or(StepControl{});
    if (now.skip) return;
    const double s = now.scale, lr = o.lr * now.lr_factor;
    for (size_t a = 0; a < v.size(); a += 2 + static_cast<size_t>(states))
      for (size_t i = 0; i < v[a].size(); ++i)
        for (int k = 0; k < steps; ++k) {
          double& p = v[a][i];
          const double g = s * v[a + 1][i] + o.weight_decay * p;
          if (states == 0) {
            p -= lr * g;
          } else {
            double& b = v[a + 2][i];
            b = o.momentum * b + g;
            p -= lr * (o.nesterov ? g + o.momentum * b : b);
          }
        }
  };
  c.run = [=](Device d, const std::vector<void*>& p) {
    on(d, t, "sgd_step", GradientTypes{}, [&]<class G>(auto dev, G) {
      const auto slots = optimizer_slots<G>(sizes, states, p);
      const DeviceControl device(d, control);
      for (int k = 0; k < steps; ++k) sgd_step(dev, o, std::span<const OptimizerSlot<G>>(slots), device.get());
    });
  };
  c.rungs.assign(sgd_step_rungs.names.begin(), sgd_step_rungs.names.end());
  const double n = static_cast<double>(std::accumulate(sizes.begin(), sizes.end(), int64_t{0})) * steps;
  c.bytes = n * (8 + 8 * states + static_cast<double>(size_of(t)));
  c.flops = n * (4 + 3 * states);
  return c;
}

inline Case adamw_case(const Sizes& sizes, DType t, const AdamW& o, const Control& control, int steps = kSteps) {
  Case c{"adamw_step",
         format("{} from step {} decay {}{}", to_string(sizes), o.step, o.weight_decay, to_string(control)), t};
  c.args = optimizer_arguments(sizes, t, 2);
  c.reference = [=](Values& v) {
    const StepControl now = control.value_or(StepControl{});
    if (now.skip) return;
    const double s = now.scale, lr = o.lr * now.lr_factor;
    for (size_t a = 0; a < v.size(); a += 4)
      for (size_t i = 0; i < v[a].size(); ++i)
        for (int k = 0; k < steps; ++k) {
          const double t_now = static_cast<double>(o.step + k + now.step_offset), g = s * v[a + 1][i];
          double &p = v[a][i], &m = v[a + 2][i], &u = v[a + 3][i];
          p -= lr * o.weight_decay * p;
          m = o.beta1 * m + (1 - o.beta1) * g;
          u = o.beta2 * u + (1 - o.beta2) * g * g;
          const double m_hat = m / (1 - std::pow(o.beta1, t_now)), u_hat = u / (1 - std::pow(o.beta2, t_now));
          p -= lr * m_hat / (std::sqrt(u_hat) + o.eps);
        }
  };
  c.run = [=](Device d, const std::vector<void*>& p) {
    on(d, t, "adamw_step", GradientTypes{}, [&]<class G>(auto dev, G) {
      const auto slots = optimizer_slots<G>(sizes, 2, p);
      const DeviceControl device(d, control);
      AdamW now = o;
      for (int k = 0; k < steps; ++k, ++now.step)
        adamw_step(dev, now, std::span<const OptimizerSlot<G>>(slots), device.get());
    });
  };
  c.rungs.assign(adamw_step_rungs.names.begin(), adamw_step_rungs.names.end());
  const double n = static_cast<double>(std::accumulate(sizes.begin(), sizes.end(), int64_t{0})) * steps;
  c.bytes = n * (24 + static_cast<double>(size_of(t)));
  c.flops = n * 13;
  return c;
}

// What overflows: nothing; one element of the last parameter that has any is +∞; or NaN.
enum class Overflow { none, infinity, nan };

inline Case grad_norm_case(const Sizes& sizes, DType t, const GradNorm& norm, const std::optional<LossScale>& scale,
                           Overflow overflow = Overflow::none) {
  const int64_t n = std::accumulate(sizes.begin(), sizes.end(), int64_t{0});
  Case c{"grad_norm",
         format("{} max {}{}{}", to_string(sizes), norm.max_norm,
                scale ? format(" S {} good {}", scale->scale, scale->good) : "",
                overflow == Overflow::none       ? ""
                : overflow == Overflow::infinity ? " with ∞"
                                                 : " with NaN"),
         t};
  size_t last = 0;
  for (size_t i = 0; i < sizes.size(); ++i)
    if (sizes[i] > 0) last = i;
  const double bad =
      overflow == Overflow::nan ? std::numeric_limits<double>::quiet_NaN() : std::numeric_limits<double>::infinity();
  for (size_t i = 0; i < sizes.size(); ++i) {
    const Init usual = normal_values(50 + i, 0, i % 2 ? 0.01 : 10);
    const int64_t at = i == last && overflow != Overflow::none ? sizes[i] / 2 : -1;
    c.args.push_back({"grad", Argument::in, t, sizes[i], [=](int64_t k) { return k == at ? bad : usual(k); }});
  }
  // skip, step_offset, S, good, skipped; N and s where they are numbers.
  const int64_t numbers = overflow == Overflow::none ? 1 : -1;
  c.args.push_back({"state", Argument::out, DType::f32, 5, {}, 1, 1, true});
  c.args.push_back({"norm", Argument::out, DType::f32, numbers, {}, n});
  c.args.push_back({"scale", Argument::out, DType::f32, numbers, {}, n});
  const size_t count = sizes.size();
  c.reference = [=](Values& v) {
    double squares = 0;
    const double u = scale ? 1.0 / static_cast<double>(scale->scale) : 1;
    for (size_t i = 0; i < count; ++i)
      for (double g : v[i]) squares += u * g * u * g;
    LossScale s = scale.value_or(LossScale{});
    const bool skip = scale && numbers < 0;
    if (skip)
      s = {static_cast<float>(s.scale * norm.backoff), 0, s.skipped + 1};
    else if (scale)
      s = s.good + 1 >= norm.interval ? LossScale{static_cast<float>(s.scale * norm.growth), 0, s.skipped}
                                      : LossScale{s.scale, s.good + 1, s.skipped};
    v[count] = {skip ? 1.0 : 0, skip ? -1.0 : 0, s.scale, double(s.good), double(s.skipped)};
    if (numbers < 0) return;
    v[count + 1] = {std::sqrt(squares)};
    v[count + 2] = {u * std::min(1.0, norm.max_norm / (std::sqrt(squares) + 1e-6))};
  };
  c.run = [=](Device d, const std::vector<void*>& p) {
    on(d, t, "grad_norm", GradientTypes{}, [&]<class G>(auto dev, G) {
      std::vector<OptimizerSlot<G>> slots;
      for (size_t i = 0; i < count; ++i) slots.push_back({nullptr, as<const G>(p[i]), {}, sizes[i]});
      const DeviceControl control(d, StepControl{});
      const Workspace loss_scale(d, sizeof(LossScale));
      LossScale s = scale.value_or(LossScale{});
      copy_bytes(d, loss_scale.as<void>(), Device::cpu, &s, sizeof s);
      grad_norm(dev, norm, std::span<const OptimizerSlot<G>>(slots), scale ? loss_scale.as<LossScale>() : nullptr,
                control.get());
      StepControl after;
      copy_bytes(Device::cpu, &after, d, control.get(), sizeof after);
      copy_bytes(Device::cpu, &s, d, loss_scale.as<void>(), sizeof s);
      const float state[] = {float(after.skip), float(after.step_offset), s.scale, float(s.good), float(s.skipped)};
      copy_bytes(d, p[count], Device::cpu, state, sizeof state);
      if (numbers < 0) return;
      copy_bytes(d, p[count + 1], Device::cpu, &after.norm, sizeof(float));
      copy_bytes(d, p[count + 2], Device::cpu, &after.scale, sizeof(float));
    });
  };
  c.rungs.assign(grad_norm_rungs.names.begin(), grad_norm_rungs.names.end());
  c.bytes = static_cast<double>(n) * static_cast<double>(size_of(t));
  c.flops = 2.0 * static_cast<double>(n);
  return c;
}

inline std::vector<Case> optimizer_cases(Scope scope) {
  const Control scaled = StepControl{.scale = 0.375};
  std::vector<Case> cases;
  if (scope == Scope::bench) {
    Sizes vit;  // ViT-B's encoder: 12 blocks of [768 → 2304], [768 → 768], [768 → 3072], [3072 → 768]
    for (int block = 0; block < 12; ++block)
      for (int64_t n : {768, 768, 2304 * 768, 2304, 768 * 768, 768, 768, 768, 3072 * 768, 3072, 768 * 3072, 768})
        vit.push_back(n);
    cases.push_back(sgd_case(vit, DType::f32, {.lr = 1e-6, .momentum = 0.9, .weight_decay = 1e-4}, kNoControl, 1));
    cases.push_back(adamw_case(vit, DType::f32, {.lr = 1e-6, .step = 10}, kNoControl, 1));
    cases.push_back(grad_norm_case(vit, DType::f32, {.max_norm = 1}, {}));
    return cases;
  }
  if (scope == Scope::race) {
    const Sizes sizes{9, kOptimizerChunk + 70};
    cases.push_back(sgd_case(sizes, DType::f32, {.lr = 0.1, .momentum = 0.9, .nesterov = true}, scaled, 1));
    cases.push_back(adamw_case(sizes, DType::bf16, {.lr = 0.1, .step = 1}, kNoControl, 1));
    cases.push_back(grad_norm_case(sizes, DType::f32, {.max_norm = 1}, {}));
    return cases;
  }
  const Sizes several{1, 0, 31, 4099, 0, 0, 2 * kOptimizerChunk, kOptimizerChunk + 2, 33, 0};
  Sizes many;
  for (int64_t i = 0; i < 100; ++i) many.push_back(i * 7 % 40);
  for (DType t : {DType::f32, DType::bf16, DType::f16}) {
    for (const Sizes& sizes : {Sizes{}, Sizes{0}, Sizes{1025}, several, many}) {
      cases.push_back(sgd_case(sizes, t, {.lr = 0.1, .momentum = 0.9, .weight_decay = 1e-2}, kNoControl));
      cases.push_back(adamw_case(sizes, t, {.lr = 0.1, .step = 1}, scaled));
      cases.push_back(grad_norm_case(sizes, t, {.max_norm = 0.5}, {}));
    }
    cases.push_back(sgd_case(several, t, {.lr = 0.1}, scaled));
    cases.push_back(sgd_case(several, t, {.lr = 0.1, .weight_decay = 0.1}, kNoControl));
    cases.push_back(sgd_case(several, t, {.lr = 0.1, .momentum = 0.8, .nesterov = true}, scaled));
    cases.push_back(
        adamw_case(several, t, {.lr = 0.01, .beta1 = 0.8, .beta2 = 0.95, .weight_decay = 0, .step = 1000}, kNoControl));
    cases.push_back(grad_norm_case(several, t, {.max_norm = 1e9}, {}));
    for (Overflow o : {Overflow::infinity, Overflow::nan})
      cases.push_back(grad_norm_case({33, 1025}, t, {.backoff = 0.25}, LossScale{8, 1999, 0}, o));
    if (t != DType::f32) continue;  // what follows knows no gradient's dtype
    // A device that says something about every number, and one that forbids the step.
    for (const StepControl& c : {StepControl{.scale = 0.25, .lr_factor = 0.5, .step_offset = -2},
                                 StepControl{.step_offset = 5}, StepControl{.skip = 1}}) {
      cases.push_back(sgd_case(several, t, {.lr = 0.1, .momentum = 0.9, .weight_decay = 0.1}, c));
      cases.push_back(adamw_case(several, t, {.lr = 0.1, .step = 4}, c));
    }
    // Loss scaling: a good step, the one after which S grows, an overflow.
    cases.push_back(grad_norm_case(several, t, {}, LossScale{0x1p16f, 3, 1}));
    cases.push_back(grad_norm_case(several, t, {.max_norm = 0.01}, LossScale{0x1p8f, 1999, 0}));
    cases.push_back(grad_norm_case(several, t, {.growth = 4, .interval = 10}, LossScale{2, 9, 7}));
    cases.push_back(grad_norm_case(several, t, {}, LossScale{0x1p16f, 3, 1}, Overflow::infinity));
  }
  return cases;
}

static const CaseFamily optimizer_family{"optimizer", optimizer_cases};

}  // namespace holt::test
