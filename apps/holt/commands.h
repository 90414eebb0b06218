// The commands. Each adds itself, with its flags and help, to the program; when it is the one called, its parsed flags
// end up in `action`.
#pragma once
#include "apps/holt/cli.h"

namespace holt::app {

void add_train(CLI::App& program, Action& action);
void add_eval(CLI::App& program, Action& action);
void add_adapt(CLI::App& program, Action& action);
void add_predict(CLI::App& program, Action& action);
void add_bench(CLI::App& program, Action& action);
void add_data(CLI::App& program, Action& action);
void add_info(CLI::App& program, Action& action);
void add_transfer(CLI::App& program, Action& action);
void add_weights(CLI::App& program, Action& action);

/// A model's name, options behind a colon; a mistyped one is answered with the nearest. And all of them, for help
/// texts.
CLI::Validator model_name();
std::string model_list();

/// --device, --precision and --threads, the same in every command that computes.
struct ComputeFlags {
  std::string device = "cpu", precision = "f32";
  int64_t threads = 0;
};
void add_compute_flags(CLI::App& command, ComputeFlags& flags);
/// Limits OpenMP as --threads says.
void apply(const ComputeFlags& flags);

}  // namespace holt::app
