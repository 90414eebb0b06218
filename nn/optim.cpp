#include "nn/optim.h"

#include <cmath>
#include <set>

#include "kernels/optimizer.h"

namespace holt::nn {
namespace {

// f32 [2] on the parameters' device: ‖g‖₂ and the factor that brings it to max_norm.
Tensor norm_and_scale(Device device, std::span<const OptimizerSlot<float>> parameters, double max_norm) {
  const Tensor result = empty({2}, DType::f32, device);
  on(device, [&](auto dev) { grad_norm(dev, parameters, 1.0, max_norm, result.data<float>()); });
  return result;
}

void check_gradient(const std::string& op, const std::string& name, const Tensor& parameter, const Tensor& gradient) {
  check(gradient.shape() == parameter.shape() && gradient.dtype() == DType::f32 &&
            gradient.device() == parameter.device(),
        "{}: the gradient of '{}' must be like the parameter, {}, got {}", op, name, parameter, gradient);
}

}  // namespace

Optimizer::Optimizer(std::string name, std::vector<ParameterGroup> groups, double lr, double weight_decay,
                     std::vector<std::string> slots)
    : name_(std::move(name)),
      groups_(std::move(groups)),
      lr_(lr),
      weight_decay_(weight_decay),
      slot_names_(std::move(slots)) {
  check(lr >= 0, "{}: lr must not be negative, got {}", name_, lr);
  check(weight_decay >= 0, "{}: weight_decay must not be negative, got {}", name_, weight_decay);
  std::set<std::string> names;
  for (const ParameterGroup& group : groups_)
    for (auto& [parameter, t] : group.parameters) {
      check(names.insert(parameter).second, "{}: two parameters are called '{}'", name_, parameter);
      check(t && t.dtype() == DType::f32 && t.is_leaf(), "{}: parameter '{}' must be an f32 leaf, got {}", name_,
            parameter, t);
    }
}

void Optimizer::step(double factor, Clip clip) {
  check(clip.max_norm > 0, "{}: max_norm must be positive, got {}", name_, clip.max_norm);
  // All is checked before anything is changed.
  std::vector<std::pair<std::string, Tensor>> chosen;
  for (const ParameterGroup& group : groups_)
    for (auto& [name, parameter] : group.parameters) {
      const Tensor gradient = parameter.grad();
      if (!gradient || !parameter.requires_grad()) continue;
      check_gradient(name_, name, parameter, gradient);
      check(chosen.empty() || chosen[0].second.device() == parameter.device(),
            "{}: the parameters must be on one device, '{}' is {}", name_, name, parameter);
      chosen.emplace_back(name, parameter);
    }
  ++steps_;
  if (chosen.empty()) return;
  const Device device = chosen[0].second.device();

  std::vector<OptimizerSlot<float>> all;  // of all groups, one group after the other
  for (auto& [name, parameter] : chosen) {
    std::vector<Tensor>& state = slots_[name];
    while (state.size() < slot_names_.size()) state.push_back(zeros(parameter.shape(), DType::f32, device));
    OptimizerSlot<float>& slot = all.emplace_back();
    slot = {parameter.data<float>(), parameter.grad().data<float>(), {nullptr, nullptr}, parameter.numel()};
    for (size_t i = 0; i < state.size(); ++i) slot.state[i] = state[i].data<float>();
  }
  const float* scale = nullptr;
  if (std::isfinite(clip.max_norm)) {
    norm_and_scale_ = norm_and_scale(device, all, clip.max_norm);
    scale = norm_and_scale_.data<float>() + 1;
  }
  size_t begin = 0;
  for (const ParameterGroup& group : groups_) {
    size_t end = begin;
    for (auto& [name, parameter] : group.parameters)
      if (end < chosen.size() && chosen[end].first == name) ++end;
    if (end > begin)
      update(device, Parameters(all).subspan(begin, end - begin), group.lr.value_or(lr_) * factor,
             group.weight_decay.value_or(weight_decay_), scale, steps_);
    begin = end;
  }
  for (auto& [name, parameter] : chosen) parameter.bump_version();
}

double Optimizer::last_grad_norm() const {
  check(norm_and_scale_.defined(), "{}: no step was clipped yet, so no norm was computed", name_);
  return norm_and_scale_.to_vector<double>()[0];
}

void Optimizer::zero_grad() {
  for (const ParameterGroup& group : groups_)
    for (auto& [name, parameter] : group.parameters) parameter.set_grad({});
}

State Optimizer::state() const {
  State all{{"step", from(std::vector<int64_t>{steps_}, Shape{})}};
  for (auto& [parameter, slots] : slots_)
    for (size_t i = 0; i < slots.size(); ++i) all[slot_names_[i] + "." + parameter] = slots[i];
  return all;
}

void Optimizer::load_state(const State& source) {
  State own{{"step", zeros({}, DType::i64)}};
  std::map<std::string, std::vector<Tensor>> slots;
  for (const ParameterGroup& group : groups_)
    for (auto& [name, parameter] : group.parameters) {
      bool stepped = false;
      for (const std::string& slot : slot_names_) stepped |= source.count(slot + "." + name) > 0;
      if (!stepped) continue;
      for (const std::string& slot : slot_names_)
        own[slot + "." + name] = slots[name].emplace_back(zeros(parameter.shape(), DType::f32, parameter.device()));
    }
  copy_into(format("load_state: the state does not fit this {}", name_).c_str(), own, source, true);
  steps_ = own.at("step").to_vector<int64_t>()[0];
  slots_ = std::move(slots);
}

SGD::SGD(std::vector<ParameterGroup> groups, SGDOptions o)
    : Optimizer("SGD", std::move(groups), o.lr, o.weight_decay,
                o.momentum != 0 ? std::vector<std::string>{"momentum"} : std::vector<std::string>{}),
      options_(o) {
  check(o.momentum >= 0 && o.momentum < 1, "SGD: momentum must be in [0, 1), got {}", o.momentum);
  check(!o.nesterov || o.momentum > 0, "SGD: nesterov needs a momentum");
}

void SGD::update(Device device, Parameters parameters, double lr, double weight_decay, const float* scale, int64_t) {
  const Sgd sgd{.lr = lr, .momentum = options_.momentum, .weight_decay = weight_decay, .nesterov = options_.nesterov};
  on(device, [&](auto dev) { sgd_step(dev, sgd, parameters, scale); });
}

AdamW::AdamW(std::vector<ParameterGroup> groups, AdamWOptions o)
    : Optimizer("AdamW", std::move(groups), o.lr, o.weight_decay, {"exp_avg", "exp_avg_sq"}), options_(o) {
  check(o.beta1 >= 0 && o.beta1 < 1, "AdamW: beta1 must be in [0, 1), got {}", o.beta1);
  check(o.beta2 >= 0 && o.beta2 < 1, "AdamW: beta2 must be in [0, 1), got {}", o.beta2);
  check(o.eps > 0, "AdamW: eps must be positive, got {}", o.eps);
}

void AdamW::update(Device device, Parameters parameters, double lr, double weight_decay, const float* scale,
                   int64_t step) {
  const holt::AdamW adamw{.lr = lr,
                          .beta1 = options_.beta1,
                          .beta2 = options_.beta2,
                          .eps = options_.eps,
                          .weight_decay = weight_decay,
                          .step = step};
  on(device, [&](auto dev) { adamw_step(dev, adamw, parameters, scale); });
}

double grad_norm(const std::vector<Tensor>& parameters) {
  std::vector<OptimizerSlot<float>> slots;
  Device device;
  for (const Tensor& parameter : parameters) {
    const Tensor gradient = parameter.grad();
    if (!gradient) continue;
    check_gradient("grad_norm", "one parameter", parameter, gradient);
    check(slots.empty() || device == parameter.device(),
          "grad_norm: the parameters must be on one device, got {} and {}", device, parameter.device());
    device = parameter.device();
    slots.push_back({nullptr, gradient.data<float>(), {nullptr, nullptr}, gradient.numel()});
  }
  if (slots.empty()) return 0;
  return norm_and_scale(device, slots, std::numeric_limits<double>::infinity()).to_vector<double>()[0];
}

}  // namespace holt::nn
