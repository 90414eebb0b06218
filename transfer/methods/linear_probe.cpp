// Linear probing: W and b alone are trained, on features that stay as the source made them.
#include "transfer/methods/probe.h"

namespace holt::transfer::methods {

void probe(Adaptation& a) {
  nn::Model& model = *a.classifier.model;
  std::unique_ptr<nn::Model> before = nn::clone(model);  // its modes, and what is trainable, return later
  model.requires_grad("*", false);
  for (const Tensor* t : {&model.classifier().weight, &model.classifier().bias})
    if (*t) t->requires_grad_();
  model.for_each<nn::BatchNorm2d>(
      [](const std::string&, nn::BatchNorm2d& bn) { bn.statistics = nn::BatchNorm2d::Statistics::frozen; });
  model.for_each<nn::Dropout>([](const std::string&, nn::Dropout& dropout) { dropout.p = 0; });

  fine_tune(a, a.options.probe_steps, a.options.probe_lr);

  before->load_state(model.state());
  a.classifier.model = std::move(before);
}

namespace {

class LinearProbe : public Part {
 public:
  void train(Adaptation& a) override { probe(a); }
};

}  // namespace

MethodEntry linear_probe() {
  return {.name = "linear-probe",
          .description = "train the classifier alone",
          .source = "Tu et al. 2023, §3; Kumar et al. 2022",
          .role = Role::trainer,
          .make = [] { return std::make_unique<LinearProbe>(); },
          .steps = [](const Options& o) { return o.probe_steps; },
          .grid = {{"linear-probe.lr", {"0.005", "0.05", "0.5"}}},
          .excludes = {"frozen-classifier", "frozen-bn", "rank"}};
}

}  // namespace holt::transfer::methods
