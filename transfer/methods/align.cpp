// Holt's own. Before adapting, with every weight of the network frozen (BatchNorm in training mode, so that its
// statistics move), fits a class-agnostic correction φ of the input (transfer/correction.h) by the seen-softmax loss at
// align.tau, with Adam on a cosine schedule. Then φ is frozen and the adaptation begins. φ can express the domain, not
// the classes: what it explains need not be learnt from the seen classes alone.
#include <algorithm>
#include <limits>

#include "core/autocast.h"
#include "core/ops.h"
#include "nn/schedule.h"
#include "transfer/training.h"

namespace holt::transfer::methods {
namespace {

// x₀: the darkest training pixel of each channel, normalised.
std::vector<float> darkest(const data::Dataset& d, const data::Normalize& normalize) {
  const int64_t channels = d.images.size(3);
  std::vector<float> least(channels, std::numeric_limits<float>::infinity());
  const auto scan = [&](const auto* pixels, float scale) {
    for (int64_t i = 0; i < d.images.numel(); ++i)
      least[i % channels] = std::min(least[i % channels], static_cast<float>(pixels[i]) * scale);
  };
  if (d.images.dtype() == DType::u8)
    scan(d.images.data<uint8_t>(), 1.0f / 255);
  else
    scan(d.images.data<float>(), 1);
  for (int64_t c = 0; c < channels; ++c)
    if (!normalize.mean.empty()) least[c] = (least[c] - normalize.mean[c]) / normalize.std[c];
  return least;
}

// Only the network's arithmetic is the scope's.
Tensor loss_of(nn::Model& model, Correction& correction, const Objective& objective, const Batches::Batch& batch) {
  const DType precision = autocast_dtype();
  const Autocast off(DType::f32);
  const Tensor seen = correction(batch.images);
  const auto logits = [&] {
    const Autocast on(precision);
    return widened(model(seen));
  };
  return objective(logits(), batch.labels);
}

class Align : public Part {
 public:
  void begin(Adaptation& a) override {
    auto correction = std::make_unique<Correction>(darkest(a.train, a.task.normalize));
    correction->to(a.device);
    const std::unique_ptr<nn::Model> model = nn::clone(*a.classifier.model);
    model->requires_grad("*", false);
    model->train();

    std::vector<uint8_t> mask(a.task.classes());
    for (const int64_t c : a.task.split.seen) mask[c] = 1;
    const Objective objective{.tau = a.options.align_tau, .class_mask = from(mask, {a.task.classes()}).to(a.device)};
    Batches batches(a.train, a.task.normalize, a.options.batch, derive_seed(a.seed, "align"), a.device);
    nn::AdamW adam(correction->named_parameters(), {.lr = a.options.align_lr, .weight_decay = 0});
    scale_loss(a, adam);
    for (int64_t t = 0; t < a.options.align_steps; ++t) {
      check_cancelled(a);
      const Batches::Batch batch = batches.next();
      const Tensor loss = loss_of(*model, *correction, objective, batch);
      check(std::isfinite(loss.item()), "align: the loss is {} at step {}; try a smaller align.lr than {}", loss.item(),
            t + 1, a.options.align_lr);
      correction->zero_grad();
      adam.scaled(loss).backward();
      adam.step(nn::schedule::cosine(t, {.total = a.options.align_steps}));
    }
    correction->requires_grad("*", false);
    a.classifier.model->load_state(model->state());  // the statistics that moved
    a.classifier.correction = std::move(correction);
  }
};

}  // namespace

MethodEntry align() {
  return {.name = "align",
          .description = "first fit a class-agnostic correction of the input",
          .source = "holt",
          .make = [] { return std::make_unique<Align>(); },
          .work = [](const Options& o) { return static_cast<double>(o.align_steps); },
          .grid = {{"align.lr", {"0.003", "0.01", "0.03"}}}};
}

}  // namespace holt::transfer::methods
