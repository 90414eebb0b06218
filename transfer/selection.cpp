#include "transfer/selection.h"

#include <algorithm>
#include <exception>

#include "transfer/calibration.h"
#include "transfer/training.h"

namespace holt::transfer {
namespace {

constexpr int64_t kHeldOut = 5;  // one of so many training images of a class

// The task's seen images, halved twice: by class, and into what is trained on and what is held out.
struct Halves {
  std::vector<int64_t> trained, held_out;  // positions in task.train
  std::vector<int64_t> half[2];            // classes, ascending
};

Halves halve(const Task& task, uint64_t seed) {
  const std::vector<int64_t>& seen = task.split.seen;
  check(seen.size() >= 2, "pcv: at least two classes must be seen to leave one of them out, got {}", seen.size());
  Halves h;
  Generator generator(derive_seed(seed, "halves"));
  const std::vector<int64_t> order = permutation(std::ssize(seen), generator);
  for (size_t i = 0; i < order.size(); ++i) h.half[i % 2].push_back(seen[order[i]]);
  for (auto& half : h.half) std::sort(half.begin(), half.end());

  const auto* labels = task.train.labels.data<int64_t>();
  std::vector<int64_t> total(task.classes()), met(task.classes());
  for (int64_t i = 0; i < task.train.size(); ++i) ++total[labels[i]];
  for (int64_t i = 0; i < task.train.size(); ++i) {
    const int64_t c = labels[i], at = met[c]++;
    const bool out = at % kHeldOut == 0;
    if (out) h.held_out.push_back(i);
    if (!out || total[c] == 1) h.trained.push_back(i);
  }
  return h;
}

// Only the classes of S, renumbered.
Predictions within(const Predictions& all, const std::vector<int64_t>& seen) {
  Predictions p;
  p.classes = std::ssize(seen);
  for (int64_t i = 0; i < all.size(); ++i) {
    for (const int64_t c : seen) p.logits.push_back(all.logits[i * all.classes + c]);
    p.labels.push_back(std::lower_bound(seen.begin(), seen.end(), all.labels[i]) - seen.begin());
  }
  return p;
}

}  // namespace

std::vector<Fold> pseudo_folds(nn::Model& source, const Task& task, const Method& method, const Options& options,
                               const AdaptSettings& settings) {
  const Halves halves = halve(task, settings.seed);
  const data::Dataset trained = data::select(task.train, halves.trained),
                      held_out = data::select(task.train, halves.held_out);
  std::vector<Fold> folds;
  for (const std::vector<int64_t>& half : halves.half) {
    Task pseudo{.data = task.data, .source = task.source, .target = task.target};
    pseudo.split = {"half of " + task.split.name, half};
    pseudo.normalize = task.normalize;
    pseudo.train_all = trained;
    const Seen mask = pseudo.split.mask(task.classes());
    pseudo.train = of_classes(trained, mask);
    AdaptSettings quiet = settings;
    quiet.watch = {};
    const Adapted adapted = adapt(source, pseudo, method, options, quiet);
    folds.push_back({evaluate(adapted.classifier, held_out, task.normalize, settings.device).predictions, mask});
  }
  return folds;
}

double pseudo_score(const std::vector<Fold>& folds, const Task& task) {
  double total = 0;
  for (const Fold& fold : folds) {
    Seen half;
    for (const int64_t c : task.split.seen) half.push_back(fold.pseudo_seen[c]);
    const Metrics m = measure(within(fold.held_out, task.split.seen), half);
    total += (m.seen + m.unseen) / 2;
  }
  return total / static_cast<double>(folds.size());
}

double pseudo_calibration(const std::vector<Fold>& folds, const Task& task) {
  double total = 0;
  for (const Fold& fold : folds)
    total += pseudo_gamma(fold.held_out, task.split.mask(task.classes()), fold.pseudo_seen);
  return total / static_cast<double>(folds.size());
}

Selection parse_selection(const std::string& name) {
  if (name == "none") return Selection::none;
  if (name == "pcv") return Selection::pcv;
  check(name == "oracle", "selection: '{}' is unknown; known are none, pcv, oracle", name);
  return Selection::oracle;
}

std::string to_string(Selection s) { return s == Selection::none ? "none" : s == Selection::pcv ? "pcv" : "oracle"; }

Selected select_options(Selection selection, nn::Model& source, const Task& task, const Method& method,
                        const Options& options, const AdaptSettings& settings) {
  Selected selected{options, {}};
  if (selection == Selection::none) return selected;
  const auto measured = [&](const Options& o) {
    if (selection == Selection::pcv) return pseudo_score(pseudo_folds(source, task, method, o, settings), task);
    AdaptSettings quiet = settings;
    quiet.watch = {};
    const Adapted adapted = adapt(source, task, method, o, quiet);
    return measure(evaluate(adapted.classifier, task.test, task.normalize, settings.device).predictions,
                   task.split.mask(task.classes()))
        .overall;
  };
  // A candidate that cannot be trained (its loss became infinite, say) is worse than any that can.
  std::exception_ptr failure;
  const auto score = [&](const Options& o) {
    try {
      return measured(o);
    } catch (const Error&) {
      if (settings.cancelled && settings.cancelled()) throw;
      if (!failure) failure = std::current_exception();
      return -1.0;
    }
  };

  std::vector<std::pair<std::string, std::vector<std::string>>> grid;
  if (training_steps(method, options) > 0)
    grid.push_back({"lr", {format("{}", options.lr / 3), format("{}", options.lr * 3)}});
  for (const MethodEntry* part : method.parts)
    for (const auto& entry : part->grid) grid.push_back(entry);
  if (grid.empty()) return selected;

  double best = score(selected.options);
  for (const auto& [name, values] : grid) {
    std::string taken = get(selected.options, name);
    for (const std::string& value : values) {
      if (value == get(selected.options, name)) continue;
      Options candidate = selected.options;
      set(candidate, name, value);
      const double s = score(candidate);
      if (s > best) {
        best = s;
        taken = value;
      }
    }
    set(selected.options, name, taken);
    selected.chosen[name] = taken;
  }
  if (best < 0) std::rethrow_exception(failure);  // none could be trained
  return selected;
}

}  // namespace holt::transfer
