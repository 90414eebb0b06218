// L2-SP (Li et al. 2018, "Explicit Inductive Bias for Transfer Learning"): adds λ·‖θ − θ_source‖² over the parameters
// that are trained.
#include <map>

#include "core/ops.h"
#include "transfer/method.h"

namespace holt::transfer::methods {
namespace {

class L2Sp : public Part {
 public:
  void begin(Adaptation& a) override {
    for (const auto& [name, parameter] : a.source.named_parameters()) start_[name] = parameter.detach();
  }
  Tensor penalty(const Adaptation& a, const Forward& f) override {
    Tensor total;
    for (const auto& [name, parameter] : f.model.named_parameters()) {
      if (!parameter.requires_grad()) continue;
      const Tensor distance = sum(square(parameter - start_.at(name)));
      total = total ? total + distance : distance;
    }
    return total ? total * a.options.l2sp_weight : total;
  }

 private:
  std::map<std::string, Tensor> start_;
};

}  // namespace

MethodEntry l2sp() {
  return {.name = "l2sp",
          .description = "pull the weights towards the source's",
          .source = "Li et al. 2018, eq. 2",
          .make = [] { return std::make_unique<L2Sp>(); },
          .grid = {{"l2sp.weight", {"0.03", "0.1", "0.3", "1"}}}};
}

}  // namespace holt::transfer::methods
