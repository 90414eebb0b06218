#include "nn/state.h"

#include "core/autograd.h"
#include "core/ops.h"

namespace holt::nn {

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

}  // namespace holt::nn
