// Control of lolsgd: its M models, averaged each round, with no class left out.
#include "transfer/methods/rounds.h"

namespace holt::transfer::methods {
namespace {

class LocalSgd : public Part {
 public:
  void train(Adaptation& a) override {
    train_in_rounds(a, {.locals = a.options.locals, .server_lr = a.options.server_lr});
  }
};

}  // namespace

MethodEntry local_sgd() {
  return {.name = "local-sgd",
          .description = "control of lolsgd: models averaged, no class left out",
          .source = "holt's control",
          .role = Role::trainer,
          .make = [] { return std::make_unique<LocalSgd>(); },
          .steps = [](const Options& o) { return o.rounds * o.local_steps; },
          .work = [](const Options& o) { return static_cast<double>(o.locals * o.rounds * o.local_steps); }};
}

}  // namespace holt::transfer::methods
