// Re-estimates BatchNorm's running mean and variance on the target images, without gradients (Li et al. 2017,
// "Revisiting Batch Normalization For Practical Domain Adaptation").
#include "core/autograd.h"
#include "transfer/training.h"

namespace holt::transfer::methods {
namespace {

class BnStats : public Part {
 public:
  void train(Adaptation& a) override {
    nn::Model& model = *a.classifier.model;
    const int64_t n = a.train.size(), batch = std::min(a.options.batch, n);
    Batches batches(a.train, a.task.normalize, batch, derive_seed(a.seed, "batches"), a.device);
    std::map<nn::BatchNorm2d*, double> momenta;
    model.for_each<nn::BatchNorm2d>([&](const std::string&, nn::BatchNorm2d& bn) {
      momenta[&bn] = bn.momentum;
      bn.reset_statistics();
    });
    const NoGrad no_grad;
    model.train();
    for (int64_t k = 0; k < a.options.bn_passes * (n / batch); ++k) {
      check_cancelled(a);
      // 1 / (k + 1) makes the running value the plain mean over the batches.
      for (auto& [bn, momentum] : momenta) bn->momentum = 1.0 / static_cast<double>(k + 1);
      model(a.classifier.input(batches.next().images));
    }
    for (auto& [bn, momentum] : momenta) bn->momentum = momentum;
  }
};

}  // namespace

MethodEntry bn_stats() {
  return {.name = "bn-stats",
          .description = "re-estimate BatchNorm's statistics on target images; no gradients",
          .source = "Li et al. 2017, §3",
          .role = Role::trainer,
          .make = [] { return std::make_unique<BnStats>(); },
          .steps = [](const Options&) { return int64_t{0}; },
          .excludes = {"frozen-classifier", "frozen-bn", "seen-softmax", "distill", "lwf", "rank", "l2sp"}};
}

}  // namespace holt::transfer::methods
