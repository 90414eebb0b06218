#include "transfer/predictions.h"

#include <algorithm>
#include <limits>

#include "kernels/parallel.h"

namespace holt::transfer {
namespace {

// The first largest of row[ids], or −1 if there is a NaN among them.
int64_t first_largest(const float* row, const std::vector<int64_t>& ids) {
  int64_t best = ids.front();
  bool nan = false;
  for (const int64_t c : ids) {
    nan |= row[c] != row[c];
    if (row[c] > row[best]) best = c;
  }
  return nan ? -1 : best;
}

Duel duel(const float* row, int64_t label, const std::vector<int64_t>& seen, const std::vector<int64_t>& unseen) {
  const int64_t s = first_largest(row, seen), u = first_largest(row, unseen);
  if (s < 0 || u < 0) return {label, -1, -1, 0};
  constexpr double inf = std::numeric_limits<double>::infinity();
  const double a = row[s], b = row[u];
  // ∞ − ∞: a tie at every γ.
  const double t = a == b && (a == inf || a == -inf) ? (s < u ? inf : -inf) : a - b;
  return {label, s, u, t};
}

}  // namespace

void Predictions::add(const Tensor& batch_logits, const Tensor& batch_labels) {
  check(batch_logits.rank() == 2 && batch_labels.shape() == Shape{batch_logits.size(0)},
        "predictions: expected logits [n, C] and labels [n], got {} and {}", batch_logits, batch_labels);
  check(labels.empty() || batch_logits.size(1) == classes, "predictions: expected {} classes as before, got logits {}",
        classes, batch_logits);
  classes = batch_logits.size(1);
  const std::vector<float> x = batch_logits.to_vector<float>();
  const std::vector<int64_t> y = batch_labels.to_vector<int64_t>();
  logits.insert(logits.end(), x.begin(), x.end());
  labels.insert(labels.end(), y.begin(), y.end());
}

void check_predictions(const char* op, const Predictions& p, const Seen& seen) {
  check(std::ssize(p.logits) == p.size() * p.classes, "{}: {} labels and {} classes need {} logits, got {}", op,
        p.size(), p.classes, p.size() * p.classes, p.logits.size());
  check(std::ssize(seen) == p.classes, "{}: seen must say yes or no for each of the {} classes, got {} entries", op,
        p.classes, seen.size());
  const int64_t count = std::count(seen.begin(), seen.end(), true);
  check(count > 0, "{}: none of the {} classes is seen", op, p.classes);
  check(count < p.classes, "{}: all of the {} classes are seen: nothing is left to compare them with", op, p.classes);
  for (int64_t i = 0; i < p.size(); ++i)
    check(p.labels[i] >= 0 && p.labels[i] < p.classes, "{}: label {} of image {} is outside 0 … {}", op, p.labels[i], i,
          p.classes - 1);
}

std::vector<int64_t> members(const Seen& seen, bool group) {
  std::vector<int64_t> ids;
  for (size_t c = 0; c < seen.size(); ++c)
    if (seen[c] == group) ids.push_back(static_cast<int64_t>(c));
  return ids;
}

std::vector<Duel> duels(const Predictions& p, const Seen& seen) {
  check_predictions("duels", p, seen);
  const std::vector<int64_t> s = members(seen), u = members(seen, false);
  std::vector<Duel> result(p.labels.size());
  parallel_for(p.size(), p.classes, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) result[i] = duel(p.logits.data() + i * p.classes, p.labels[i], s, u);
  });
  return result;
}

}  // namespace holt::transfer
