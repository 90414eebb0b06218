#include "transfer/metrics.h"

#include <cmath>

namespace holt::transfer {

double fraction(int64_t part, int64_t whole) {
  return whole ? static_cast<double>(part) / static_cast<double>(whole) : 0;
}

double harmonic_mean(double a, double b) { return a + b > 0 ? 2 * a * b / (a + b) : 0; }

double Metrics::class_accuracy(int64_t c) const { return fraction(class_correct.at(c), class_samples.at(c)); }
double Metrics::class_accuracy_in_group(int64_t c) const {
  return fraction(class_correct_in_group.at(c), class_samples.at(c));
}

Metrics measure(const std::vector<Duel>& all, const Seen& seen, double gamma) {
  check(std::isfinite(gamma), "measure: gamma must be finite, got {}", gamma);
  const size_t classes = seen.size();
  Metrics m;
  m.class_samples.resize(classes);
  m.class_correct.resize(classes);
  m.class_correct_in_group.resize(classes);
  for (const Duel& d : all) {
    ++m.class_samples[d.label];
    m.class_correct[d.label] += d.winner(gamma) == d.label;
    m.class_correct_in_group[d.label] += d.winner_in_group(seen) == d.label;
  }
  int64_t right[2] = {}, right_in_group[2] = {}, samples[2] = {};  // [1]: seen
  for (size_t c = 0; c < classes; ++c) {
    samples[seen[c]] += m.class_samples[c];
    right[seen[c]] += m.class_correct[c];
    right_in_group[seen[c]] += m.class_correct_in_group[c];
  }
  m.samples = samples[0] + samples[1];
  m.unseen_samples = samples[0];
  m.seen_samples = samples[1];
  m.overall = fraction(right[0] + right[1], m.samples);
  m.unseen = fraction(right[0], samples[0]);
  m.seen = fraction(right[1], samples[1]);
  m.hmean = harmonic_mean(m.seen, m.unseen);
  m.unseen_in_unseen = fraction(right_in_group[0], samples[0]);
  m.seen_in_seen = fraction(right_in_group[1], samples[1]);
  return m;
}

Metrics measure(const Predictions& predictions, const Seen& seen, double gamma) {
  return measure(duels(predictions, seen), seen, gamma);
}

std::vector<int64_t> confusion(const Predictions& predictions, const Seen& seen, double gamma) {
  check(std::isfinite(gamma), "confusion: gamma must be finite, got {}", gamma);
  std::vector<int64_t> counts(seen.size() * seen.size());
  for (const Duel& d : duels(predictions, seen))
    if (const int64_t predicted = d.winner(gamma); predicted >= 0) ++counts[d.label * predictions.classes + predicted];
  return counts;
}

}  // namespace holt::transfer
