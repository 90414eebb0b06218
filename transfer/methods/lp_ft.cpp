// Linear probing, then fine-tuning (Kumar et al. 2022, "Fine-Tuning can Distort Pretrained Features"): a classifier
// that already fits the features distorts them less.
#include "transfer/methods/probe.h"

namespace holt::transfer::methods {
namespace {

class LpFt : public Part {
 public:
  void train(Adaptation& a) override {
    probe(a);
    fine_tune(a, a.options.steps, a.lr);
  }
};

}  // namespace

MethodEntry lp_ft() {
  return {
      .name = "lp-ft",
      .description = "train the classifier alone, then everything",
      .source = "Kumar et al. 2022, §3",
      .role = Role::trainer,
      .make = [] { return std::make_unique<LpFt>(); },
      .steps = [](const Options& o) { return o.probe_steps + o.steps; },
      .work = [](const Options& o) { return static_cast<double>(o.steps) + 0.3 * static_cast<double>(o.probe_steps); },
      .grid = {{"linear-probe.lr", {"0.005", "0.05", "0.5"}}},
      .excludes = {"frozen-classifier"}};
}

}  // namespace holt::transfer::methods
