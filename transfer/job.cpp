#include "transfer/job.h"

#include <omp.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>

#include "core/autocast.h"
#include "core/json.h"
#include "kernels/build_info.h"
#include "kernels/memory.h"
#include "transfer/calibration.h"
#include "transfer/source_model.h"
#include "transfer/training.h"

namespace holt::transfer {
namespace {

constexpr int64_t kCurvePoints = 120, kSamples = 12;

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

Accuracies accuracies(const std::vector<Duel>& d, const Seen& seen, double gamma) {
  const Metrics m = measure(d, seen, gamma);
  return {gamma, m.overall, m.seen, m.unseen, m.hmean};
}

// Test images spread over the data set: the same ones for every method.
std::vector<Sample> samples(const Predictions& p) {
  std::vector<Sample> chosen;
  const int64_t n = p.size(), count = std::min(n, kSamples);
  for (int64_t i = 0; i < count; ++i) {
    const int64_t at = (2 * i + 1) * n / (2 * count);
    const float* z = &p.logits[at * p.classes];
    const int64_t best = std::max_element(z, z + p.classes) - z;
    double sum = 0;
    for (int64_t c = 0; c < p.classes; ++c) sum += std::exp(static_cast<double>(z[c]) - z[best]);
    chosen.push_back({at, p.labels[at], best, std::round(1e4 / sum) / 1e4});
  }
  return chosen;
}

std::vector<std::array<int64_t, 3>> sparse_confusion(const std::vector<int64_t>& counts, int64_t classes) {
  std::vector<std::array<int64_t, 3>> entries;
  for (int64_t i = 0; i < std::ssize(counts); ++i)
    if (counts[i]) entries.push_back({i / classes, i % classes, counts[i]});
  return entries;
}

}  // namespace

Setting parse_setting(const std::string& text) {
  const size_t equals = text.find('='), colon = text.substr(0, equals).find(':');
  check(equals != std::string::npos, "--set: write NAME=VALUE or METHOD:NAME=VALUE, not '{}'", text);
  const size_t begin = colon == std::string::npos ? 0 : colon + 1;
  return {text.substr(0, begin == 0 ? 0 : colon), text.substr(begin, equals - begin), text.substr(equals + 1)};
}

Method resolve(const JobSpec& spec, Options& options) {
  options = spec.options;
  Method method = parse_method(spec.method, options);
  for (const std::string& text : spec.sets) {
    const Setting s = parse_setting(text);
    if (s.method.empty() || s.method == spec.method) set(options, s.name, s.value);
  }
  return method;
}

std::string job_id(const JobSpec& spec, const Task& task, const std::string& data_identity, Device device) {
  Options options;
  resolve(spec, options);
  nlohmann::json identity = {{"data", data_identity},
                             {"source", task.source},
                             {"target", task.target},
                             {"seen", task.split.seen},
                             {"method", spec.method},
                             {"options", options},
                             {"selection", to_string(spec.selection)},
                             {"calibrations", spec.calibrations},
                             {"seed", spec.seed},
                             {"source_id", spec.source_id},
                             {"checkpoints", spec.checkpoints},
                             {"device", to_string(device)}};
  if (spec.precision != DType::f32) identity["precision"] = to_string(spec.precision);
  return fingerprint(json_text(identity, -1, NotUtf8::replace));
}

Result blank_result(const JobSpec& spec, const Task& task, Device device) {
  Result r;
  r.data = task.data;
  r.source = task.source;
  r.target = task.target;
  r.method = spec.method;
  r.classes = task.train.classes;
  r.seed = spec.seed;
  r.split = task.split;
  r.selection = to_string(spec.selection);
  r.source_id = spec.source_id;
  r.commit = build_info().commit;
  r.device = to_string(device);
  r.precision = to_string(spec.precision);
  r.threads = omp_get_max_threads();
  return r;
}

Result run_job(const JobSpec& spec, const Task& task, nn::Model& source, const AdaptSettings& given) {
  Result r = blank_result(spec, task, given.device);
  const Method method = resolve(spec, r.options);
  const int64_t classes = task.classes();
  const Seen seen = task.split.mask(classes);
  AdaptSettings settings = given;
  settings.seed = derive_seed(spec.seed, "adapt");
  settings.precision = spec.precision;
  const Autocast scope(spec.precision);

  const auto begin = Clock::now();
  Selected selected = select_options(spec.selection, source, task, method, r.options, settings);
  r.options = selected.options;
  r.selected = selected.chosen;
  r.selection_seconds = seconds_since(begin);

  // The picture of forgetting; what it measures is used for nothing else, and its time is not the method's.
  double watched = 0;
  const int64_t total = training_steps(method, r.options);
  int64_t next = 1;
  if (spec.checkpoints > 0 && total > 0)
    settings.watch = [&](int64_t step, const Classifier& now) {
      if (step * spec.checkpoints < next * total) return;
      next = step * spec.checkpoints / total + 1;
      const auto start = Clock::now();
      const Metrics m = measure(evaluate(now, task.test, task.normalize, settings.device).predictions, seen);
      r.checkpoints.push_back({step, m.seen, m.unseen});
      watched += seconds_since(start);
    };
  Adapted adapted = adapt(source, task, method, r.options, settings);
  r.seconds = adapted.seconds - watched;
  r.loss = std::move(adapted.history.loss);
  r.batch_accuracy = std::move(adapted.history.accuracy);

  const Evaluation test = evaluate(adapted.classifier, task.test, task.normalize, settings.device);
  // The last step may have made what the next one would have found.
  for (const float z : test.predictions.logits)
    check(std::isfinite(z), "{}: after training a logit is {}; try a smaller lr than {}", spec.method, z, r.options.lr);
  const std::vector<Duel> d = duels(test.predictions, seen);
  const Metrics m = measure(d, seen);
  r.plain = {0, m.overall, m.seen, m.unseen, m.hmean};
  r.seen_in_seen = m.seen_in_seen;
  r.unseen_in_unseen = m.unseen_in_unseen;
  r.class_count = m.class_samples;
  r.class_correct = m.class_correct;
  const std::vector<CurvePoint> curve = seen_unseen_curve(sweep(d, seen));
  r.ausuc = ausuc(curve);
  for (const CurvePoint& p : thin(curve, kCurvePoints)) r.curve.push_back({p.seen, p.unseen});
  r.confusion = sparse_confusion(confusion(test.predictions, seen), classes);
  r.samples = samples(test.predictions);

  const Evaluation all = evaluate(adapted.classifier, task.train_all, task.normalize, settings.device);
  const NcmResult ncm = nearest_class_mean(all.features, test.features, seen);
  r.ncm = {0, ncm.overall, ncm.seen, ncm.unseen, harmonic_mean(ncm.seen, ncm.unseen)};

  for (const std::string& name : spec.calibrations) {
    double gamma = 0;
    if (name == "alg") {
      // There is no wrong seen class; or a gate has lowered the wrong seen logits, and the gap says nothing of the
      // rest.
      if (task.split.seen.size() < 2 || adapted.classifier.gate) continue;
      gamma = average_logit_gap(evaluate(adapted.classifier, task.train, task.normalize, settings.device).predictions,
                                seen);
    } else if (name == "pcv") {
      if (task.split.seen.size() < 2 || method.parts.front()->name == "oracle") continue;
      const auto start = Clock::now();
      gamma = pseudo_calibration(pseudo_folds(source, task, method, r.options, settings), task);
      r.selection_seconds += seconds_since(start);
    } else {
      check(name == "best", "calibration '{}' is unknown; known are alg, pcv, best", name);
      gamma = best_gamma(test.predictions, seen);
    }
    r.calibrated[name] = accuracies(d, seen, gamma);
  }
  r.peak_bytes = static_cast<int64_t>(memory_stats(settings.device).peak);
  return r;
}

}  // namespace holt::transfer
