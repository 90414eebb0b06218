#include "transfer/options.h"

#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>

#include "core/nearest.h"
#include "kernels/error.h"

namespace holt::transfer {
namespace {

template <class T>
T parse(const OptionInfo& info, const std::string& text) {
  T value{};
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  check(error == std::errc() && rest == text.data() + text.size(), "option {}: '{}' is no {}", info.name, text,
        std::is_integral_v<T> ? "whole number" : "number");
  const auto number = static_cast<double>(value);
  check(std::isfinite(number) && number >= info.low && number <= info.high, "option {}: {} is outside {} … {}",
        info.name, text, info.low, info.high);
  return value;
}

void store(const OptionInfo& info, Options& o, int64_t Options::*m, const std::string& text) {
  o.*m = parse<int64_t>(info, text);
}
void store(const OptionInfo& info, Options& o, double Options::*m, const std::string& text) {
  o.*m = parse<double>(info, text);
}
void store(const OptionInfo& info, Options& o, bool Options::*m, const std::string& text) {
  check(text == "true" || text == "false", "option {}: write true or false, not '{}'", info.name, text);
  o.*m = text == "true";
}
void store(const OptionInfo& info, Options& o, std::string Options::*m, const std::string& text) {
  std::string known;
  bool fits = info.words.empty();
  for (const std::string& w : info.words) {
    fits = fits || w == text;
    known += (known.empty() ? "" : ", ") + w;
  }
  check(fits, "option {}: '{}' is not one of {}", info.name, text, known);
  o.*m = text;
}

std::vector<OptionInfo> make_table() {
  using O = Options;
  return {
      {"steps", "steps of fine-tuning", &O::steps, 1, 1e9},
      {"batch", "images in a step", &O::batch, 1, 1e6},
      {"lr", "learning rate", &O::lr},
      {"momentum", "of SGD", &O::momentum, 0, 0.9999},  // 1 and more never forgets
      {"nesterov", "Nesterov's correction", &O::nesterov},
      {"weight-decay", "joins the gradient of every trained parameter", &O::weight_decay},
      {"schedule", "of the learning rate", &O::schedule, 0, 0, {"constant", "cosine"}},
      {"linear-probe.steps", "steps on the classifier alone", &O::probe_steps, 1, 1e9},
      {"linear-probe.lr", "their learning rate", &O::probe_lr},
      {"frozen-bn.lr", "learning rate where BatchNorm is frozen", &O::frozen_bn_lr},
      {"frozen-bn.affine", "freeze BatchNorm's weight and bias too", &O::frozen_bn_affine},
      {"bn-stats.passes", "passes over the target images", &O::bn_passes, 1, 1e6},
      {"lolsgd.locals", "M, models trained side by side in a round", &O::locals, 1, 1e4},
      {"lolsgd.keep", "ρ, part of the seen classes that a local model is given", &O::keep, 1e-9, 1},
      {"lolsgd.rounds", "rounds", &O::rounds, 1, 1e6},
      {"lolsgd.local-steps", "steps of each local model in a round", &O::local_steps, 1, 1e9},
      {"lolsgd.lr", "η_g, step along the mean of the locals' differences", &O::server_lr},
      {"lolsgd.bn",
       "BatchNorm's statistics after a round: average (as the weights, but never beyond the locals' mean), or keep "
       "those "
       "before it",
       &O::local_bn,
       0,
       0,
       {"average", "keep"}},
      {"lolsgd.momentum", "the locals' momentum at a round's start", &O::local_momentum, 0, 0, {"reset", "keep"}},
      {"distill.weight", "λ", &O::distill_weight},
      {"distill.temperature", "T", &O::distill_temperature, 1e-6},
      {"lwf.weight", "λ", &O::lwf_weight},
      {"lwf.temperature", "T", &O::lwf_temperature, 1e-6},
      {"rank.weight", "of the penalty", &O::rank_weight},
      {"rank.kind", "measure of the features' rank", &O::rank_kind, 0, 0, {"frobenius", "logdet", "nuclear"}},
      {"l2sp.weight", "λ", &O::l2sp_weight},
      {"wise.alpha", "α, part of the adapted weights in the mean", &O::wise_alpha, 0, 1},
      {"seen-softmax.tau", "τ, inverse temperature", &O::tau, 1e-6},
      {"seen-softmax.unseen-margin", "offset of the unseen logits in the softmax; none: they are left out",
       &O::unseen_margin},
      {"align.steps", "steps of Adam on the correction", &O::align_steps, 1, 1e9},
      {"align.lr", "their learning rate", &O::align_lr},
      {"align.tau", "τ of their loss", &O::align_tau, 1e-6},
      {"gate.beta", "β", &O::gate_beta},
      {"gate.shrink", "of the covariance towards a multiple of I, relative to its mean variance", &O::gate_shrink,
       1e-9},
  };
}

}  // namespace

const std::vector<OptionInfo>& option_table() {
  static const std::vector<OptionInfo> table = make_table();
  return table;
}

const OptionInfo& option_info(const std::string& name) {
  std::vector<std::string> names;
  std::string known;
  for (const OptionInfo& info : option_table()) {
    if (info.name == name) return info;
    names.push_back(info.name);
    known += (known.empty() ? "" : ", ") + info.name;
  }
  const std::string guess = did_you_mean(name, names);
  fail("option '{}' is unknown{} known are {}", name, guess.empty() ? ";" : guess, known);
}

void set(Options& options, const std::string& name, const std::string& value) {
  const OptionInfo& info = option_info(name);
  if (name == "seen-softmax.unseen-margin" && value != "none") {
    float margin = 0;
    const auto [rest, error] = std::from_chars(value.data(), value.data() + value.size(), margin);
    check(error == std::errc() && rest == value.data() + value.size() && std::isfinite(margin),
          "option {}: write a number, or none; not '{}'", name, value);
  }
  std::visit([&](auto member) { store(info, options, member, value); }, info.member);
}

std::string get(const Options& options, const std::string& name) {
  return std::visit(
      [&](auto member) -> std::string {
        const auto& value = options.*member;
        using T = std::remove_cvref_t<decltype(value)>;
        if constexpr (std::is_same_v<T, std::string>)
          return value;
        else if constexpr (std::is_same_v<T, bool>)
          return value ? "true" : "false";
        else
          return format("{}", value);
      },
      option_info(name).member);
}

void to_json(nlohmann::json& j, const Options& o) {
  j = nlohmann::json::object();
  for (const OptionInfo& info : option_table()) std::visit([&](auto member) { j[info.name] = o.*member; }, info.member);
}

void from_json(const nlohmann::json& j, Options& o) {
  for (const OptionInfo& info : option_table())
    std::visit([&](auto member) { j.at(info.name).get_to(o.*member); }, info.member);
}

}  // namespace holt::transfer
