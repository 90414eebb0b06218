// The three things that every training program does: one step, counting what is right, evaluating.
//
//   while (auto batch = epoch.next()) train_step(model, optimizer, batch->images, batch->labels, {.factor = …});
//   Scores s = evaluate(model, loader.epoch(0), device);
//
// A source of batches is anything whose next() gives an optional with `images` [N,H,W,C] and `labels` i64 [N] on cpu.
#pragma once
#include <cmath>
#include <cstdint>
#include <vector>

#include "core/inference.h"
#include "core/ops.h"
#include "nn/module.h"

namespace holt::nn {

/// Sums over the samples seen.
struct Scores {
  int64_t samples = 0, correct = 0;
  double loss_sum = 0;
  std::vector<int64_t> class_samples, class_correct;  ///< by label

  double loss() const { return samples ? loss_sum / static_cast<double>(samples) : 0; }
  double accuracy() const { return samples ? static_cast<double>(correct) / static_cast<double>(samples) : 0; }
  /// Counts logits [N,C] against labels [N]: right where the label's logit is the first largest. A row with NaN is
  /// wrong. `mean_loss` is the mean over the N.
  void add(const Tensor& logits, const Tensor& labels, double mean_loss);
};

struct StepOptions {
  double factor = 1;           ///< of the learning rate
  double label_smoothing = 0;  ///< of the cross-entropy
  /// Where images were mixed: i64 [N], what else is in them. The loss is then
  /// share·CE(labels) + (1 − share)·CE(other_labels).
  Tensor other_labels = {};
  double share = 1;
};

/// One step of gradient descent on the mean cross-entropy; the batch counts into `scores`, by `labels`. Returns its
/// loss. With a loss that is not finite it returns before the backward: the model is as the last step left it, but for
/// running statistics.
template <class Optimizer>
double train_step(Module& model, Optimizer& optimizer, const Tensor& images, const Tensor& labels, Scores& scores,
                  StepOptions options = {}) {
  const Tensor logits = model(images);
  const CrossEntropyOptions smoothed = {.label_smoothing = options.label_smoothing};
  Tensor loss = cross_entropy(logits, labels, smoothed);
  if (options.other_labels)
    loss = loss * options.share + cross_entropy(logits, options.other_labels, smoothed) * (1 - options.share);
  const double value = loss.item();
  scores.add(logits, labels, value);
  if (!std::isfinite(value)) return value;
  model.zero_grad();
  optimizer.scaled(loss).backward();
  optimizer.step(options.factor);
  return value;
}

/// Loss and accuracy in evaluation mode, without recording; the mode of `model` is restored. `after(samples)` is called
/// after each batch and ends the evaluation by returning false.
template <class Batches, class After>
Scores evaluate(Module& model, Batches&& batches, Device device, After&& after) {
  const Inference scope;
  const bool training = model.training();
  model.eval();
  Scores scores;
  while (auto batch = batches.next()) {
    const Tensor labels = batch->labels.to(device), logits = model(batch->images.to(device));
    scores.add(logits, labels, cross_entropy(logits, labels).item());
    if (!after(scores.samples)) break;
  }
  model.train(training);
  return scores;
}
template <class Batches>
Scores evaluate(Module& model, Batches&& batches, Device device) {
  return evaluate(model, batches, device, [](int64_t) { return true; });
}

}  // namespace holt::nn
