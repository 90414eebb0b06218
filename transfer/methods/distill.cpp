// Selective distillation (Tu et al. 2023, §4.3): adds to the loss
//
//   λ·T²·KL( softmax_U(source logits / T) ‖ softmax_U(logits / T) )
//
// with both softmaxes restricted to the missing classes U. No image of U has a label, but the source's ranking of them
// for an image of a seen class is knowledge too, and this keeps it.
#include "core/autocast.h"
#include "core/autograd.h"
#include "core/ops.h"
#include "transfer/methods/teacher.h"

namespace holt::transfer::methods {

Tensor distillation(const Adaptation& a, const Forward& f, double weight, double temperature, const Tensor& mask) {
  Tensor teacher;
  {
    const NoGrad no_grad;
    const Autocast scope(a.precision);
    teacher = widened(a.source(f.images));
  }
  return kl_divergence(teacher, f.logits, temperature, mask) * (weight * temperature * temperature);
}

namespace {

class Distill : public Part {
 public:
  void begin(Adaptation& a) override {
    std::vector<uint8_t> mask(a.task.classes());
    for (const int64_t c : a.task.split.unseen(a.task.classes())) mask[c] = 1;
    unseen_ = from(mask, {a.task.classes()}).to(a.device);
  }
  Tensor penalty(const Adaptation& a, const Forward& f) override {
    return distillation(a, f, a.options.distill_weight, a.options.distill_temperature, unseen_);
  }

 private:
  Tensor unseen_;
};

}  // namespace

MethodEntry distill() {
  return {.name = "distill",
          .description = "keep the source's relations among the missing classes",
          .source = "Tu et al. 2023, §4.3",
          .make = [] { return std::make_unique<Distill>(); },
          .step_work = 0.3,  // the teacher's forward
          .grid = {{"distill.weight", {"0.03", "0.1", "0.3", "1"}}},
          .excludes = {"lwf"}};
}

}  // namespace holt::transfer::methods
