// BatchNorm layers normalise with the source's running statistics during training and do not move them; their weight
// and bias stay trainable unless frozen-bn.affine says otherwise (Tu et al. 2023, §4.1). The statistics then remain
// those of all classes, not of the seen ones.
#include "transfer/method.h"

namespace holt::transfer::methods {
namespace {

class FrozenBn : public Part {
 public:
  void begin(Adaptation& a) override {
    int64_t layers = 0;
    a.classifier.model->for_each<nn::BatchNorm2d>([&](const std::string&, nn::BatchNorm2d& bn) {
      ++layers;
      bn.statistics = nn::BatchNorm2d::Statistics::frozen;
      if (a.options.frozen_bn_affine)
        for (const Tensor* t : {&bn.weight, &bn.bias}) t->requires_grad_(false);
    });
    check(layers > 0, "frozen-bn: {} has no BatchNorm", a.classifier.model->label());
    // Without the batch's own statistics to tame them, steps of the usual size diverge.
    a.lr = a.options.frozen_bn_lr;
  }
};

}  // namespace

MethodEntry frozen_bn() {
  return {.name = "frozen-bn",
          .description = "BatchNorm keeps the source's statistics",
          .source = "Tu et al. 2023, §4.1",
          .make = [] { return std::make_unique<FrozenBn>(); },
          .grid = {{"frozen-bn.lr", {"0.0003", "0.001", "0.003"}}}};
}

}  // namespace holt::transfer::methods
