// The ceiling: fine-tuning with target images of all classes, those that the task withholds too.
#include "transfer/training.h"

namespace holt::transfer::methods {
namespace {

class Oracle : public Part {
 public:
  void begin(Adaptation& a) override { a.train = a.task.train_all; }
  void train(Adaptation& a) override { fine_tune(a, a.options.steps, a.lr); }
};

}  // namespace

MethodEntry oracle() {
  return {.name = "oracle",
          .description = "fine-tune with target images of all classes: the ceiling",
          .source = "Tu et al. 2023, §3",
          .role = Role::trainer,
          .make = [] { return std::make_unique<Oracle>(); },
          .excludes = {"seen-softmax", "align", "distill", "gate"}};
}

}  // namespace holt::transfer::methods
