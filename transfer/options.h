// Every number that a method takes, by the name that --set, the results and the report use.
//
// One flat struct and one table: what is written into each result is complete, and a new option is one member and one
// line.
#pragma once
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <variant>
#include <vector>

namespace holt::transfer {

struct Options {
  // Fine-tuning: SGD.
  int64_t steps = 100, batch = 32;
  double lr = 0.005, momentum = 0.9, weight_decay = 0;
  bool nesterov = true;
  std::string schedule = "constant";

  int64_t probe_steps = 100;
  double probe_lr = 0.05;

  double frozen_bn_lr = 0.001;
  bool frozen_bn_affine = false;
  int64_t bn_passes = 1;

  int64_t locals = 4, rounds = 20, local_steps = 5;
  double keep = 0.5, server_lr = 1;
  std::string local_bn = "average", local_momentum = "reset";

  double distill_weight = 0.1, distill_temperature = 1;
  double lwf_weight = 0.1, lwf_temperature = 1;
  double rank_weight = 3;
  std::string rank_kind = "frobenius";
  double l2sp_weight = 0.3;
  double wise_alpha = 0.5;

  double tau = 1;
  std::string unseen_margin = "none";

  int64_t align_steps = 100;
  double align_lr = 0.01, align_tau = 0.5;
  double gate_beta = 0.5, gate_shrink = 0.1;

  friend bool operator==(const Options&, const Options&) = default;
};

struct OptionInfo {
  using Member = std::variant<int64_t Options::*, double Options::*, bool Options::*, std::string Options::*>;
  std::string name, help;
  Member member;
  double low = 0;                       ///< numbers: the least allowed
  double high = 1e12;                   ///< numbers: the greatest allowed
  std::vector<std::string> words = {};  ///< texts: those allowed; empty: any
};

/// All options, in the order in which to list them.
const std::vector<OptionInfo>& option_table();

/// Sets one option from text: set(options, "lr", "0.01"). Error for an unknown name (the nearest is suggested), a text
/// that is no such value, a value out of range.
void set(Options& options, const std::string& name, const std::string& value);
/// The value as set() takes it.
std::string get(const Options& options, const std::string& name);
/// The option's entry, or an Error as set().
const OptionInfo& option_info(const std::string& name);

/// {"steps": 100, "lr": 0.005, …}: all of them.
void to_json(nlohmann::json& j, const Options& o);
/// Every option must be there.
void from_json(const nlohmann::json& j, Options& o);

}  // namespace holt::transfer
