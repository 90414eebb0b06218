#include "nn/state.h"

#include <algorithm>

#include "core/autograd.h"
#include "core/nearest.h"
#include "core/ops.h"
#include "kernels/memory.h"

namespace holt::nn {
namespace {

// "missing a, b, c and 7 more"
std::string shape_and_dtype(const Tensor& t) { return format("{} {}", t.dtype(), t.shape()); }

}  // namespace

std::vector<std::string> copy_into(const char* misfit, const State& own, const State& source, bool strict) {
  std::vector<std::string> missing, unexpected, misshapen;
  for (auto& [name, t] : own) {
    const auto it = source.find(name);
    if (it == source.end())
      missing.push_back(name);
    else if (!it->second)
      misshapen.push_back(format("{}: expected {}, got an undefined tensor", name, shape_and_dtype(t)));
    else if (it->second.shape() != t.shape() || it->second.dtype() != t.dtype())
      misshapen.push_back(format("{}: expected {}, got {}", name, shape_and_dtype(t), shape_and_dtype(it->second)));
  }
  for (auto& [name, t] : source)
    if (!own.count(name)) unexpected.push_back(name);
  std::vector<std::string> skipped = missing;
  skipped.insert(skipped.end(), unexpected.begin(), unexpected.end());
  check(misshapen.empty() && (!strict || skipped.empty()), "{}{}{}{}", misfit,
        strict ? first_ten("missing", missing) : "", strict ? first_ten("unexpected", unexpected) : "",
        first_ten("misshapen", misshapen));
  for (auto& [name, t] : own) {
    const auto it = source.find(name);
    if (it == source.end() || it->second.raw() == t.raw()) continue;
    copy_bytes(t.device(), t.raw(), it->second.device(), it->second.raw(), t.bytes());
    t.bump_version();
  }
  return skipped;
}

State clone(const State& state) {
  const NoGrad no_grad;
  State own;
  for (auto& [name, t] : state) own[name] = t.clone();
  return own;
}

State interpolate(const State& a, const State& b, double alpha) {
  const NoGrad no_grad;
  check(a.size() == b.size(), "interpolate: the states have {} and {} entries", a.size(), b.size());
  State mixed;
  for (auto& [name, x] : a) {
    const auto it = b.find(name);
    check(it != b.end(), "interpolate: only one of the states has '{}'", name);
    const Tensor& y = it->second;
    check(x.shape() == y.shape() && x.dtype() == y.dtype() && x.device() == y.device(),
          "interpolate: '{}' is {} in one state and {} in the other", name, x, y);
    // The end that is nearer carries the difference: exact at both ends.
    mixed[name] = !is_float(x.dtype()) ? x.clone() : alpha < 0.5 ? x + (y - x) * alpha : y - (y - x) * (1 - alpha);
  }
  return mixed;
}

State average(std::span<const State> states) {
  check(!states.empty(), "average: at least one state is needed");
  State mean = clone(states[0]);
  for (size_t k = 1; k < states.size(); ++k) mean = interpolate(mean, states[k], 1 / static_cast<double>(k + 1));
  return mean;
}

std::string first_ten(const char* what, const std::vector<std::string>& names) {
  if (names.empty()) return "";
  return format("\n  {} ({}): {}", what, names.size(), first_of(names, 10, format(" and {} more", names.size() - 10)));
}

}  // namespace holt::nn
