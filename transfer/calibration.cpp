#include "transfer/calibration.h"

#include <algorithm>
#include <cmath>
#include <tuple>

namespace holt::transfer {
namespace {

// Grows with the criterion. The products are exact below 2⁵³: plateaus that are equally good compare equal.
double score(const Plateau& p, const Sweep& s, Criterion criterion) {
  const double seen = static_cast<double>(p.seen_correct), unseen = static_cast<double>(p.unseen_correct);
  const double seen_samples = static_cast<double>(s.seen_samples);
  const double unseen_samples = static_cast<double>(s.unseen_samples);
  switch (criterion) {
    case Criterion::overall:
      return seen + unseen;
    case Criterion::balanced:
      return seen * unseen_samples + unseen * seen_samples;
    case Criterion::hmean:
      break;
  }
  const double sum = seen * unseen_samples + unseen * seen_samples;
  return sum > 0 ? seen * unseen / sum : 0;
}

double best_of(const Sweep& s, Criterion criterion, const char* op) {
  check(s.seen_samples + s.unseen_samples > 0, "{}: there are no images", op);
  check(criterion == Criterion::overall || (s.seen_samples > 0 && s.unseen_samples > 0),
        "{}: needs images of seen and of unseen classes, got {} and {}", op, s.seen_samples, s.unseen_samples);
  const auto rank = [&](const Plateau& p) {
    const double width = p.bounded() ? p.high - p.low : 0;
    return std::tuple(score(p, s, criterion), width, -std::abs(p.inside()));
  };
  const auto less = [&](const Plateau& a, const Plateau& b) { return rank(a) < rank(b); };
  return std::max_element(s.plateaus.begin(), s.plateaus.end(), less)->inside();
}

// The predictions among the classes of `kept` alone, renumbered in their order.
Predictions restricted(const Predictions& p, const std::vector<int64_t>& kept) {
  std::vector<int64_t> position(static_cast<size_t>(p.classes), -1);
  for (size_t k = 0; k < kept.size(); ++k) position[kept[k]] = static_cast<int64_t>(k);
  Predictions result;
  result.classes = std::ssize(kept);
  result.logits.reserve(p.labels.size() * kept.size());
  for (int64_t i = 0; i < p.size(); ++i) {
    check(position[p.labels[i]] >= 0, "pseudo_gamma: image {} has the unseen label {}", i, p.labels[i]);
    result.labels.push_back(position[p.labels[i]]);
    for (const int64_t c : kept) result.logits.push_back(p.logits[i * p.classes + c]);
  }
  return result;
}

}  // namespace

double average_logit_gap(const Predictions& p, const Seen& seen) {
  check_predictions("average_logit_gap", p, seen);
  const std::vector<int64_t> s = members(seen), u = members(seen, false);
  check(p.size() > 0, "average_logit_gap: there are no images");
  check(s.size() >= 2, "average_logit_gap: with one seen class there is no wrong seen class to compare with");
  double sum = 0;
  for (int64_t i = 0; i < p.size(); ++i) {
    const int64_t label = p.labels[i];
    check(seen[label], "average_logit_gap: image {} has label {}, which is not seen", i, label);
    const float* row = p.logits.data() + i * p.classes;
    double wrong_seen = 0, unseen = 0;
    for (const int64_t c : s) wrong_seen += c == label ? 0.0 : row[c];
    for (const int64_t c : u) unseen += row[c];
    const double gap = wrong_seen / static_cast<double>(s.size() - 1) - unseen / static_cast<double>(u.size());
    check(std::isfinite(gap) && std::isfinite(row[label]), "average_logit_gap: image {} has a logit that is not finite",
          i);
    sum += gap;
  }
  return sum / static_cast<double>(p.size());
}

double best_gamma(const Predictions& predictions, const Seen& seen, Criterion criterion) {
  return best_of(sweep(duels(predictions, seen), seen), criterion, "best_gamma");
}

double pseudo_gamma(const Predictions& held_out, const Seen& seen, const Seen& pseudo_seen, Criterion criterion) {
  check_predictions("pseudo_gamma", held_out, seen);
  check(pseudo_seen.size() == seen.size(), "pseudo_gamma: pseudo_seen has {} classes, seen has {}", pseudo_seen.size(),
        seen.size());
  for (const int64_t c : members(pseudo_seen)) check(seen[c], "pseudo_gamma: pseudo-seen class {} is not seen", c);
  const std::vector<int64_t> kept = members(seen);
  Seen half;
  for (const int64_t c : kept) half.push_back(pseudo_seen[c]);
  const Predictions inside = restricted(held_out, kept);
  check_predictions("pseudo_gamma (among the seen classes)", inside, half);
  return best_of(sweep(duels(inside, half), half), criterion, "pseudo_gamma");
}

}  // namespace holt::transfer
