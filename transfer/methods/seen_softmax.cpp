// The softmax of the cross-entropy restricted to the seen logits:
//
//   −log( e^{τ z_y} / Σ_{c∈S} e^{τ z_c} )
//
// Nothing pushes the missing classes' logits down. Known from continual and federated learning with missing classes.
// With seen-softmax.unseen-margin = m the missing ones stay in the softmax, their logits offset by m (0: plain
// cross-entropy with τ).
#include <cstdlib>

#include "transfer/method.h"

namespace holt::transfer::methods {
namespace {

class SeenSoftmax : public Part {
 public:
  void begin(Adaptation& a) override {
    const int64_t classes = a.task.classes();
    a.objective.tau = a.options.tau;
    if (a.options.unseen_margin == "none") {
      std::vector<uint8_t> mask(classes);
      for (const int64_t c : a.task.split.seen) mask[c] = 1;
      a.objective.class_mask = from(mask, {classes}).to(a.device);
    } else {
      std::vector<float> offset(classes);
      for (const int64_t c : a.task.split.unseen(classes))
        offset[c] = std::strtof(a.options.unseen_margin.c_str(), nullptr);
      a.objective.offset = from(offset, {classes}).to(a.device);
    }
  }
};

}  // namespace

MethodEntry seen_softmax() {
  return {.name = "seen-softmax",
          .description = "cross-entropy whose softmax runs over the seen classes",
          .source = "continual and federated learning with missing classes",
          .make = [] { return std::make_unique<SeenSoftmax>(); },
          .grid = {{"seen-softmax.tau", {"0.5", "1"}}}};
}

}  // namespace holt::transfer::methods
