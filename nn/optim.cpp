#include "nn/optim.h"

#include <cmath>
#include <set>

#include "kernels/memory.h"
#include "kernels/optimizer.h"
#include "kernels/recording.h"
#include "kernels/trace.h"

namespace holt::nn {
namespace {

// A StepControl in the device's memory.
Tensor make_control(Device device) {
  const Tensor control = empty({sizeof(StepControl)}, DType::u8, device);
  const StepControl neutral;
  copy_bytes(device, control.raw(), Device::cpu, &neutral, sizeof neutral);
  return control;
}

StepControl* control_in(const Tensor& t) { return t ? static_cast<StepControl*>(t.raw()) : nullptr; }

StepControl read_control(const Tensor& control) {
  StepControl c;
  copy_bytes(Device::cpu, &c, control.device(), control.raw(), sizeof c);
  return c;
}

void check_gradient(const std::string& op, const std::string& name, const Tensor& parameter, const Tensor& gradient) {
  check(gradient.shape() == parameter.shape() && gradient.dtype() == DType::f32 &&
            gradient.device() == parameter.device(),
        "{}: the gradient of '{}' must be like the parameter, {}, got {}", op, name, parameter, gradient);
}

}  // namespace

std::vector<ParameterGroup> decay_groups(const TensorList& parameters) {
  ParameterGroup weights, others;
  others.weight_decay = 0;
  for (const auto& [name, tensor] : parameters)
    (tensor.rank() > 1 ? weights : others).parameters.emplace_back(name, tensor);
  return {weights, others};
}

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
  const TraceRange trace(name_.c_str(), "step of ");
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
  const Device device = chosen.empty() ? Device{} : chosen[0].second.device();
  check(!scaler_ || chosen.empty() || scaler_->device() == device, "{}: the parameters are on {}, the scaler is on {}",
        name_, device, scaler_ ? scaler_->device() : device);
  replay_factor_ = factor;
  if (!recorded_action([this] { ++steps_; })) ++steps_;
  if (chosen.empty()) return;

  std::vector<OptimizerSlot<float>> all;  // of all groups, one group after the other
  for (auto& [name, parameter] : chosen) {
    std::vector<Tensor>& state = slots_[name];
    while (state.size() < slot_names_.size()) state.push_back(zeros(parameter.shape(), DType::f32, device));
    OptimizerSlot<float>& slot = all.emplace_back();
    slot = {parameter.data<float>(), parameter.grad().data<float>(), {nullptr, nullptr}, parameter.numel()};
    for (size_t i = 0; i < state.size(); ++i) slot.state[i] = state[i].data<float>();
  }
  // Once a step had a scaler, the device knows how many were skipped: every later one must ask it.
  scaled_ |= scaler_.has_value();
  const bool controlled = scaled_ || std::isfinite(clip.max_norm);
  if (controlled) {
    if (!control_) control_ = make_control(device);
    GradNorm norm{.max_norm = clip.max_norm};
    LossScale* loss_scale = nullptr;
    if (scaler_) loss_scale = scaler_->begin_step(norm);
    on(device, [&](auto dev) { grad_norm(dev, norm, Parameters(all), loss_scale, control_in(control_)); });
  }
  size_t begin = 0;
  for (const ParameterGroup& group : groups_) {
    size_t end = begin;
    for (auto& [name, parameter] : group.parameters)
      if (end < chosen.size() && chosen[end].first == name) ++end;
    if (end > begin)
      update(
          device, Parameters(all).subspan(begin, end - begin),
          [this, &group] {
            return Now{group.lr.value_or(lr_) * replay_factor_, group.weight_decay.value_or(weight_decay_), steps_};
          },
          controlled ? control_in(control_) : nullptr);
    begin = end;
  }
  const auto written = [chosen] {
    for (auto& [name, parameter] : chosen) parameter.bump_version();
  };
  if (!recorded_action(written)) written();
}

double Optimizer::last_grad_norm() const {
  check(control_.defined(), "{}: no step was clipped yet, so no norm was computed", name_);
  return static_cast<double>(read_control(control_).norm);
}

int64_t Optimizer::steps() const { return steps_ + (scaled_ ? read_control(control_).step_offset : 0); }

void Optimizer::zero_grad() {
  for (const ParameterGroup& group : groups_)
    for (auto& [name, parameter] : group.parameters) parameter.set_grad({});
}

State Optimizer::state() const {
  State all{{"step", from(std::vector<int64_t>{steps()}, Shape{})}};
  for (auto& [parameter, slots] : slots_)
    for (size_t i = 0; i < slots.size(); ++i) all[slot_names_[i] + "." + parameter] = slots[i];
  if (scaler_)
    for (auto& [name, value] : scaler_->state()) all["scaler." + name] = value;
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
  State scaler;
  if (scaler_)
    for (auto& [name, value] : scaler_->state()) own["scaler." + name] = scaler[name] = value;
  copy_into(format("load_state: the state does not fit this {}", name_).c_str(), own, source, true);
  if (scaler_) scaler_->load_state(scaler);
  steps_ = own.at("step").to_vector<int64_t>()[0];
  control_ = {};
  scaled_ = false;
  slots_ = std::move(slots);
}

SGD::SGD(std::vector<ParameterGroup> groups, SGDOptions o)
    : Optimizer("SGD", std::move(groups), o.lr, o.weight_decay,
                o.momentum != 0 ? std::vector<std::string>{"momentum"} : std::vector<std::string>{}),
      options_(o) {
  check(o.momentum >= 0 && o.momentum < 1, "SGD: momentum must be in [0, 1), got {}", o.momentum);
  check(!o.nesterov || o.momentum > 0, "SGD: nesterov needs a momentum");
}

void SGD::update(Device device, Parameters parameters, const std::function<Now()>& now, const StepControl* control) {
  const auto sgd = [now, o = options_] {
    const Now n = now();
    return Sgd{.lr = n.lr, .momentum = o.momentum, .weight_decay = n.weight_decay, .nesterov = o.nesterov};
  };
  Sgd given = sgd();
  given.live = recorded_value<StepNumbers>([sgd] { return numbers_of(sgd()); });
  on(device, [&](auto dev) { sgd_step(dev, given, parameters, control); });
}

AdamW::AdamW(std::vector<ParameterGroup> groups, AdamWOptions o)
    : Optimizer("AdamW", std::move(groups), o.lr, o.weight_decay, {"exp_avg", "exp_avg_sq"}), options_(o) {
  check(o.beta1 >= 0 && o.beta1 < 1, "AdamW: beta1 must be in [0, 1), got {}", o.beta1);
  check(o.beta2 >= 0 && o.beta2 < 1, "AdamW: beta2 must be in [0, 1), got {}", o.beta2);
  check(o.eps > 0, "AdamW: eps must be positive, got {}", o.eps);
}

void AdamW::update(Device device, Parameters parameters, const std::function<Now()>& now, const StepControl* control) {
  const auto adamw = [now, o = options_] {
    const Now n = now();
    return holt::AdamW{
        .lr = n.lr, .beta1 = o.beta1, .beta2 = o.beta2, .eps = o.eps, .weight_decay = n.weight_decay, .step = n.step};
  };
  holt::AdamW given = adamw();
  given.live = recorded_value<StepNumbers>([adamw] { return numbers_of(adamw()); });
  on(device, [&](auto dev) { adamw_step(dev, given, parameters, control); });
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
  const Tensor control = make_control(device);
  on(device, [&](auto dev) {
    grad_norm(dev, GradNorm{}, std::span<const OptimizerSlot<float>>(slots), nullptr, control_in(control));
  });
  return static_cast<double>(read_control(control).norm);
}

}  // namespace holt::nn
