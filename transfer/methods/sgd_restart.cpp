// Control of lolsgd: its rounds and local steps with one model and no class left out, so that only momentum restarts.
#include "transfer/methods/rounds.h"

namespace holt::transfer::methods {
namespace {

class SgdRestart : public Part {
 public:
  void train(Adaptation& a) override { train_in_rounds(a, {}); }
};

}  // namespace

MethodEntry sgd_restart() {
  return {.name = "sgd-restart",
          .description = "control of lolsgd: one model, no class left out, momentum restarts",
          .source = "holt's control",
          .role = Role::trainer,
          .make = [] { return std::make_unique<SgdRestart>(); },
          .steps = [](const Options& o) { return o.rounds * o.local_steps; }};
}

}  // namespace holt::transfer::methods
