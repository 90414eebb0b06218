// Arithmetic on whole states: what averages models (LOLSGD's rounds, weight interpolation).
//
// Floating entries are computed, others (counters) come from the first state. The results own their memory and load
// with Module::load_state. Errors: states whose names, shapes, dtypes or devices differ.
#pragma once
#include <span>

#include "nn/module.h"

namespace holt::nn {

/// A copy with its own memory; the module may train on.
State clone(const State& state);

/// (1 − α)·a + α·b. Exact at α = 0 and 1, and where a = b. α may lie outside [0, 1].
///   WiSE        θ ← interpolate(source, tuned, α)
///   LOLSGD      θ ← θ + η·(1/M Σ θ_m − θ) = interpolate(θ, average(locals), η)
State interpolate(const State& a, const State& b, double alpha);

/// The mean, summed in the order given; exact where all are equal. At least one state is needed.
State average(std::span<const State> states);

/// Copies the elements of `source` into the tensors of `own`, from any device, and returns the names that were skipped.
/// One Error that begins with `misfit` lists the first ten missing, unexpected (both only if strict) and misshapen
/// entries, shapes and dtypes spelled out; then nothing was copied.
std::vector<std::string> copy_into(const char* misfit, const State& own, const State& source, bool strict);

/// A line of such an Error: "\n  missing (12): conv1.weight, … and 2 more"; "" without names.
std::string first_ten(const char* what, const std::vector<std::string>& names);

}  // namespace holt::nn
