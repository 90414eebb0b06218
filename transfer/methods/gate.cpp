// Holt's own, in closed form after training: lowers each seen logit by how far the image's features are from that class
// (transfer/gate.h), so that an image far from every seen class is claimed by none.
#include "transfer/method.h"

namespace holt::transfer::methods {
namespace {

class FitGate : public Part {
 public:
  void end(Adaptation& a) override {
    const Evaluation e = evaluate(a.classifier, a.task.train, a.task.normalize, a.device);
    a.classifier.gate =
        Gate::fit(e.features, a.task.classes(), a.options.gate_beta, a.options.gate_shrink).to(a.device);
  }
};

}  // namespace

MethodEntry gate() {
  return {.name = "gate",
          .description = "lower the seen logits of images far from every seen class",
          .source = "holt",
          .make = [] { return std::make_unique<FitGate>(); },
          .grid = {{"gate.beta", {"0.25", "0.5", "1"}}}};
}

}  // namespace holt::transfer::methods
