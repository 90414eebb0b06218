// Learning without forgetting (Li & Hoiem 2016): distillation from the source over all classes, the seen ones too.
#include "transfer/methods/teacher.h"

namespace holt::transfer::methods {
namespace {

class Lwf : public Part {
 public:
  Tensor penalty(const Adaptation& a, const Forward& f) override {
    return distillation(a, f, a.options.lwf_weight, a.options.lwf_temperature, {});
  }
};

}  // namespace

MethodEntry lwf() {
  return {.name = "lwf",
          .description = "distil the source over all classes",
          .source = "Li & Hoiem 2016",
          .make = [] { return std::make_unique<Lwf>(); },
          .step_work = 0.3,  // the teacher's forward
          .grid = {{"lwf.weight", {"0.03", "0.1", "0.3", "1"}}}};
}

}  // namespace holt::transfer::methods
