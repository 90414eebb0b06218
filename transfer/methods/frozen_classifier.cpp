// Trains φ and keeps W and b: the class relationships, seen to missing, stay where the source put them, and the
// features alone move (Tu et al. 2023, §4.1).
#include "transfer/method.h"

namespace holt::transfer::methods {
namespace {

class FrozenClassifier : public Part {
 public:
  void begin(Adaptation& a) override {
    nn::Linear& classifier = a.classifier.model->classifier();
    for (const Tensor* t : {&classifier.weight, &classifier.bias})
      if (*t) t->requires_grad_(false);
  }
};

}  // namespace

MethodEntry frozen_classifier() {
  return {.name = "frozen-classifier",
          .description = "train the features, keep the classifier",
          .source = "Tu et al. 2023, §4.1",
          .make = [] { return std::make_unique<FrozenClassifier>(); }};
}

}  // namespace holt::transfer::methods
