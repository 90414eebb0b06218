// Leave-out local SGD (Tu et al. 2023, §4.2, algorithm 1). Each round: for m = 1 … M draw a subset S_m ⊂ S, leaving
// some seen classes out; start at θ and take local SGD steps on the images of S_m alone, giving θ_m; then
//
//   θ ← θ + η_g · (1/M) Σ_m (θ_m − θ)
//
// What the locals' differences share is the domain shift. What tells them apart is the class bias of each subset, and
// it averages out. The paper leaves open which part of the classes stays (lolsgd.keep) and what becomes of BatchNorm's
// statistics (lolsgd.bn) and of momentum (lolsgd.momentum).
#include "transfer/methods/rounds.h"

namespace holt::transfer::methods {
namespace {

class LolSgd : public Part {
 public:
  void train(Adaptation& a) override {
    train_in_rounds(a, {.locals = a.options.locals, .keep = a.options.keep, .server_lr = a.options.server_lr});
  }
};

}  // namespace

MethodEntry lolsgd() {
  return {.name = "lolsgd",
          .description = "leave-out local SGD: average models that each miss some seen classes",
          .source = "Tu et al. 2023, §4.2, algorithm 1",
          .role = Role::trainer,
          .make = [] { return std::make_unique<LolSgd>(); },
          .steps = [](const Options& o) { return o.rounds * o.local_steps; },
          .work = [](const Options& o) { return static_cast<double>(o.locals * o.rounds * o.local_steps); },
          .grid = {{"lolsgd.keep", {"0.3", "0.5", "0.7"}}}};
}

}  // namespace holt::transfer::methods
