// Plain fine-tuning: everything that is not frozen, cross-entropy over all C logits, SGD with momentum. The missing
// classes never occur as a label, so that every step lowers their logits: what the other methods set out to mend.
#include "transfer/training.h"

namespace holt::transfer::methods {
namespace {

class Sgd : public Part {
 public:
  void train(Adaptation& a) override { fine_tune(a, a.options.steps, a.lr); }
};

}  // namespace

MethodEntry sgd() {
  return {.name = "sgd",
          .description = "fine-tune everything with SGD",
          .source = "Tu et al. 2023, §3",
          .role = Role::trainer,
          .make = [] { return std::make_unique<Sgd>(); }};
}

}  // namespace holt::transfer::methods
