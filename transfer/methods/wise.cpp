// WiSE-FT (Wortsman et al. 2022): after training, θ ← α·θ + (1 − α)·θ_source, running statistics too.
#include "nn/state.h"
#include "transfer/method.h"

namespace holt::transfer::methods {
namespace {

class Wise : public Part {
 public:
  void end(Adaptation& a) override {
    nn::Model& model = *a.classifier.model;
    model.load_state(nn::interpolate(a.source.state(), model.state(), a.options.wise_alpha));
  }
};

}  // namespace

MethodEntry wise() {
  return {.name = "wise",
          .description = "average the weights with the source's after training",
          .source = "Wortsman et al. 2022, §3",
          .make = [] { return std::make_unique<Wise>(); },
          .grid = {{"wise.alpha", {"0.3", "0.5", "0.7"}}}};
}

}  // namespace holt::transfer::methods
