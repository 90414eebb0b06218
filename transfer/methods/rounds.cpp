#include "transfer/methods/rounds.h"

#include <algorithm>
#include <cmath>

#include "nn/schedule.h"
#include "nn/state.h"

namespace holt::transfer::methods {
namespace {

// The positions of the images whose class is in a random subset S_m of the classes present.
std::vector<int64_t> leave_out(const data::Dataset& train, double keep, uint64_t seed) {
  const auto* labels = train.labels.data<int64_t>();
  std::vector<int64_t> classes(labels, labels + train.size());
  std::sort(classes.begin(), classes.end());
  classes.erase(std::unique(classes.begin(), classes.end()), classes.end());
  const auto n = std::ssize(classes), kept = std::clamp<int64_t>(std::lround(keep * static_cast<double>(n)), 1, n);
  Generator generator(seed);
  const std::vector<int64_t> order = permutation(n, generator);
  std::vector<bool> chosen(train.num_classes());
  for (int64_t i = 0; i < kept; ++i) chosen[classes[order[i]]] = true;
  std::vector<int64_t> positions;
  for (int64_t i = 0; i < train.size(); ++i)
    if (chosen[labels[i]]) positions.push_back(i);
  return positions;
}

}  // namespace

void train_in_rounds(Adaptation& a, const Rounds& rounds) {
  const Options& o = a.options;
  nn::Model& theta = *a.classifier.model;
  std::vector<nn::State> momenta(rounds.locals);  // with lolsgd.momentum = keep: each local's, from round to round
  for (int64_t round = 0; round < o.rounds; ++round) {
    std::vector<nn::State> ends(rounds.locals);
    std::vector<StepResult> steps(rounds.locals * o.local_steps);
    in_parallel(rounds.locals, a.local_workers, [&](int64_t m) {
      const auto stream = static_cast<uint64_t>(round * rounds.locals + m);
      const std::unique_ptr<nn::Model> local = nn::clone(theta);
      local->reseed(derive_seed(a.seed, "dropout", stream));
      local->train();
      Batches batches(a.train, leave_out(a.train, rounds.keep, derive_seed(a.seed, "leave out", stream)),
                      a.task.normalize, o.batch, derive_seed(a.seed, "local batches", stream), a.device);
      const auto optimizer = make_sgd(a, *local, a.lr);
      if (!momenta[m].empty()) optimizer->load_state(momenta[m]);
      for (int64_t t = 0; t < o.local_steps; ++t) {
        check_cancelled(a);
        const int64_t step = round * o.local_steps + t;
        const double factor =
            o.schedule == "cosine" ? nn::schedule::cosine(step, {.total = o.rounds * o.local_steps}) : 1;
        steps[m * o.local_steps + t] = train_step(a, *local, *optimizer, batches.next(), factor, step);
      }
      if (o.local_momentum == "keep") momenta[m] = nn::clone(optimizer->state());
      ends[m] = local->state();
    });

    const nn::State mean = nn::average(ends);
    nn::State next = nn::interpolate(theta.state(), mean, rounds.server_lr);
    // A step beyond the mean (η_g > 1) is one for weights: a variance would become negative.
    const bool keep = o.local_bn == "keep";
    if (keep || rounds.server_lr > 1)
      for (const auto& [name, statistic] : theta.named_buffers()) next[name] = keep ? statistic : mean.at(name);
    theta.load_state(next);

    for (int64_t t = 0; t < o.local_steps; ++t) {
      double loss = 0, accuracy = 0;
      for (int64_t m = 0; m < rounds.locals; ++m) {
        loss += steps[m * o.local_steps + t].loss / static_cast<double>(rounds.locals);
        accuracy += steps[m * o.local_steps + t].accuracy / static_cast<double>(rounds.locals);
      }
      a.history.loss.push_back(static_cast<float>(loss));
      a.history.accuracy.push_back(static_cast<float>(accuracy));
    }
    if (a.watch) a.watch(std::ssize(a.history.loss));
  }
}

}  // namespace holt::transfer::methods
