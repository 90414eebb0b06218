// Feature-rank regularisation (Tu et al. 2023, §4.3): keeps φ(x) from collapsing to the few directions that the seen
// classes need. A penalty on the batch's correlation matrix K = ZᵀZ / B of the features Z [B,d], standardised over the
// batch. Its trace is d whatever happens; the flatter its eigenvalues λ, the higher the rank.
//
//   frobenius   ‖K‖_F² / d²             = Σ λ² / d²
//   logdet      −log det(K + εI) / d    = −Σ log(λ + ε) / d,   ε = 0.01
//   nuclear     −‖Z / √B‖_* / d         = −Σ √λ / d
//
// The paper names the aim, not the measure.
#include <cmath>

#include "core/ops.h"
#include "transfer/method.h"
#include "transfer/spectral.h"

namespace holt::transfer::methods {
namespace {

constexpr double kEps = 0.01;

Tensor standardise(const Tensor& features) {
  const Tensor centred = features - mean(features, {0}, true);
  return centred / sqrt(mean(square(centred), {0}, true) + 1e-5);
}

class Rank : public Part {
 public:
  Tensor penalty(const Adaptation& a, const Forward& f) override {
    const Tensor z = standardise(f.features);
    const auto b = static_cast<double>(z.size(0)), d = static_cast<double>(z.size(1));
    // ZᵀZ and ZZᵀ have the same eigenvalues but for zeros: the smaller one is enough.
    const bool few = b < d;
    const Tensor k = (few ? matmul(z, z, false, true) : matmul(z, z, true, false)) / b;
    const double zeros = few ? d - b : 0, weight = a.options.rank_weight;
    const std::string& kind = a.options.rank_kind;
    if (kind == "logdet")
      return (spectral_sum(k, [](double l) { return std::pair(std::log(l + kEps), 1 / (l + kEps)); }) +
              zeros * std::log(kEps)) *
             (-weight / d);
    if (kind == "nuclear")  // its slope is infinite at 0: a little away from it
      return spectral_sum(k, [](double l) { return std::pair(std::sqrt(l), 0.5 / std::sqrt(std::max(l, 1e-6))); }) *
             (-weight / d);
    return sum(square(k)) * (weight / (d * d));
  }
};

}  // namespace

MethodEntry rank() {
  return {.name = "rank",
          .description = "keep the rank of the features",
          .source = "Tu et al. 2023, §4.3",
          .make = [] { return std::make_unique<Rank>(); },
          .grid = {{"rank.weight", {"0.3", "1", "3", "10"}}}};
}

}  // namespace holt::transfer::methods
