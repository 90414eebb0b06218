#include "transfer/training.h"

#include <atomic>
#include <cmath>
#include <exception>
#include <numeric>
#include <thread>

#include "core/autocast.h"
#include "core/finite.h"
#include "kernels/hash.h"
#include "kernels/parallel.h"
#include "kernels/philox.h"
#include "nn/schedule.h"
#include "nn/train_loop.h"

namespace holt::transfer {

Tensor Objective::operator()(const Tensor& logits, const Tensor& labels) const {
  Tensor z = tau == 1 ? logits : logits * tau;
  if (offset) z = z + offset;
  return cross_entropy(z, labels, {.class_mask = class_mask});
}

uint64_t derive_seed(uint64_t seed, const std::string& name, uint64_t index) {
  const Philox4 r = philox(seed, fnv1a(name), index);
  return uint64_t{r.v[0]} << 32 | r.v[1];
}

namespace {

std::vector<int64_t> all_positions(const data::Dataset& dataset) {
  std::vector<int64_t> positions(dataset.size());
  std::iota(positions.begin(), positions.end(), int64_t{0});
  return positions;
}

// The first layer whose output is not finite, found by running the forward again.
std::string culprit(nn::Model& model, const Tensor& images) {
  std::map<const nn::Module*, std::string> names;
  for (const auto& [name, module] : model.named_modules()) names[module] = name.empty() ? "the model" : name;
  std::string first;
  const NoGrad no_grad;
  const nn::Watch watch([&](const nn::Module& m, const Tensor& y) {
    if (!first.empty() || first_nonfinite(y) < 0) return;
    const auto it = names.find(&m);
    first = it == names.end() ? m.label() : it->second + " (" + m.label() + ")";
  });
  if (first_nonfinite(images) >= 0) return "the input";
  for (const auto& [name, parameter] : model.named_parameters())
    if (first_nonfinite(parameter) >= 0) return "the parameter " + name;
  model(images);
  return first.empty() ? "the loss itself" : "the output of " + first;
}

}  // namespace

Batches::Batches(const data::Dataset& dataset, std::vector<int64_t> positions, const data::Normalize& normalize,
                 int64_t batch, uint64_t seed, Device device)
    : dataset_(dataset), positions_(std::move(positions)), device_(device) {
  check(!positions_.empty(), "{}: no training images", dataset.name);
  options_.batch = std::min(batch, std::ssize(positions_));
  options_.seed = seed;
  options_.prefetch = 0;  // jobs run side by side, one core each
  options_.normalize = normalize;
  order_ = data::epoch_order(std::ssize(positions_), seed, 0);
}

Batches::Batches(const data::Dataset& dataset, const data::Normalize& normalize, int64_t batch, uint64_t seed,
                 Device device)
    : Batches(dataset, all_positions(dataset), normalize, batch, seed, device) {}

Batches::Batch Batches::next() {
  if (at_ + options_.batch > std::ssize(order_)) {
    order_ = data::epoch_order(std::ssize(positions_), options_.seed, ++epoch_);
    at_ = 0;
  }
  std::vector<int64_t> chosen;
  for (int64_t i = 0; i < options_.batch; ++i) chosen.push_back(positions_[order_[at_++]]);
  const auto batch = data::Loader(data::select(dataset_, chosen), options_).epoch(0).next();
  return {batch->images.to(device_), batch->labels.to(device_)};
}

StepResult train_step(const Adaptation& a, nn::Model& model, nn::Optimizer& optimizer, const Batches::Batch& batch,
                      double factor, int64_t step) {
  Tensor images = batch.images;
  {
    const NoGrad no_grad;  // a correction is frozen while the network trains
    images = a.classifier.input(images);
  }
  const Tensor narrow = model.features(images), logits = widened(model.classifier()(narrow)),
               features = widened(narrow);
  const Autocast off(DType::f32);  // the network's arithmetic is done
  Tensor loss = a.objective(logits, batch.labels);
  const Forward forward{model, images, features, logits, batch.labels};
  for (const auto& part : a.parts)
    if (const Tensor penalty = part->penalty(a, forward)) loss = loss + penalty;
  const double value = loss.item();
  if (!std::isfinite(value))
    fail("the loss is {} at step {}; {} is not finite; try a smaller lr than {}", value, step + 1,
         culprit(model, images), a.lr);
  model.zero_grad();
  optimizer.scaled(loss).backward();
  optimizer.step(factor);
  nn::Scores scores;
  scores.add(logits, batch.labels, value);
  return {value, scores.accuracy()};
}

std::unique_ptr<nn::Optimizer> make_sgd(const Adaptation& a, nn::Model& model, double lr) {
  const Options& o = a.options;
  auto sgd = std::make_unique<nn::SGD>(
      model.named_parameters(),
      nn::SGDOptions{
          .lr = lr, .momentum = o.momentum, .nesterov = o.nesterov && o.momentum > 0, .weight_decay = o.weight_decay});
  scale_loss(a, *sgd);
  return sgd;
}

void scale_loss(const Adaptation& a, nn::Optimizer& optimizer) {
  if (a.precision == DType::f16) optimizer.use(nn::GradScaler(a.device, {.scale = 1024}));
}

void check_cancelled(const Adaptation& a) {
  if (a.cancelled && a.cancelled()) fail("cancelled");
}

void fine_tune(Adaptation& a, int64_t steps, double lr) {
  nn::Model& model = *a.classifier.model;
  Batches batches(a.train, a.task.normalize, a.options.batch, derive_seed(a.seed, "batches"), a.device);
  const auto optimizer = make_sgd(a, model, lr);
  model.train();
  for (int64_t t = 0; t < steps; ++t) {
    check_cancelled(a);
    const double factor = a.options.schedule == "cosine" ? nn::schedule::cosine(t, {.total = steps}) : 1;
    const StepResult r = train_step(a, model, *optimizer, batches.next(), factor, t);
    a.history.loss.push_back(static_cast<float>(r.loss));
    a.history.accuracy.push_back(static_cast<float>(r.accuracy));
    if (a.watch) a.watch(static_cast<int64_t>(a.history.loss.size()));
  }
}

void in_parallel(int64_t n, int64_t workers, const std::function<void(int64_t)>& f) {
  workers = std::min(workers, n);
  if (workers <= 1) {
    for (int64_t i = 0; i < n; ++i) f(i);
    return;
  }
  std::atomic<int64_t> next = 0;
  std::vector<std::exception_ptr> failures(n);
  const bool recording = grad_enabled();
  const DType precision = autocast_dtype();
  {
    std::vector<std::jthread> threads;
    for (int64_t w = 0; w < workers; ++w)
      threads.emplace_back([&] {
        const ThreadLimit one(1);
        std::unique_ptr<NoGrad> no_grad = recording ? nullptr : std::make_unique<NoGrad>();
        for (int64_t i = next++; i < n; i = next++) try {
            const Autocast scope(precision);  // ends with f(i): copies of its networks' weights go with them
            f(i);
          } catch (...) { failures[i] = std::current_exception(); }
      });
  }
  for (const std::exception_ptr& e : failures)
    if (e) std::rethrow_exception(e);
}

}  // namespace holt::transfer
