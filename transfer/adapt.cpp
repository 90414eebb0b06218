#include "transfer/adapt.h"

#include <chrono>

#include "core/autocast.h"
#include "transfer/training.h"

namespace holt::transfer {

void prepare_source(nn::Model& source, Device device) {
  source.to(device);
  source.eval();
  source.requires_grad("*", false);
}

Adapted adapt(nn::Model& source, const Task& task, const Method& method, const Options& options,
              const AdaptSettings& settings) {
  check(!source.training(), "adapt: the source model must be in evaluation mode; call prepare_source()");
  check(source.config().classes == task.classes(), "adapt: the source model has {} classes and the task {}",
        source.config().classes, task.classes());
  const Autocast scope(settings.precision);
  const auto begin = std::chrono::steady_clock::now();
  Adaptation a{.task = task,
               .options = options,
               .source = source,
               .classifier = {.model = nn::clone(source), .seen = task.split.seen},
               .device = settings.device,
               .precision = settings.precision,
               .seed = settings.seed,
               .cancelled = settings.cancelled,
               .local_workers = settings.local_workers,
               .lr = options.lr,
               .train = task.train};
  a.classifier.model->requires_grad("*", true);
  a.classifier.model->reseed(derive_seed(settings.seed, "model"));
  if (settings.watch) a.watch = [&](int64_t step) { settings.watch(step, a.classifier); };

  for (const MethodEntry* entry : method.parts) a.parts.push_back(entry->make());
  for (const auto& part : a.parts) part->begin(a);
  for (const auto& part : a.parts) part->train(a);
  for (const auto& part : a.parts) part->end(a);

  a.classifier.model->eval();
  for (const auto& [name, parameter] : a.classifier.model->named_parameters()) parameter.set_grad({});
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  return {std::move(a.classifier), std::move(a.history), seconds.count()};
}

}  // namespace holt::transfer
