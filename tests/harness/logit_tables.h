// Random logit tables, awkward on purpose, and the metrics of a partial-target task from their definitions: one argmax
// over z_c + γ·[c ∈ U] for each image and each γ. Slow and simple; shares no code with transfer/.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

namespace holt::test {

struct Table {
  int64_t classes = 0;
  std::vector<float> logits;
  std::vector<int64_t> labels;
  std::vector<bool> seen;
  int images() const { return static_cast<int>(labels.size()); }
};

// 2 – 6 classes, 0 – 10 images. Three of four tables hold small integers and halves, full of ties; one of four fine
// fractions. Some have NaN, some no image of S or of U.
inline Table random_table(std::mt19937& random) {
  const auto below = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  Table t;
  t.classes = 2 + below(5);
  t.seen.assign(t.classes, false);
  t.seen[below(static_cast<int>(t.classes))] = true;
  for (int64_t c = 0; c < t.classes; ++c)
    if (below(2) && std::count(t.seen.begin(), t.seen.end(), false) > 1) t.seen[c] = true;
  const bool fine = below(4) == 0, nan = below(5) == 0;
  const int only = below(6), images = below(11);
  for (int i = 0; i < images; ++i) {
    const int64_t label = below(static_cast<int>(t.classes));
    if ((only == 0 && t.seen[label]) || (only == 1 && !t.seen[label])) continue;
    t.labels.push_back(label);
    for (int64_t c = 0; c < t.classes; ++c) {
      float x = fine ? static_cast<float>(below(1 << 16) - (1 << 15)) * 0x1p-13f : static_cast<float>(below(9) - 4) / 2;
      if (c == label) x += static_cast<float>(below(4));
      t.logits.push_back(nan && below(12) == 0 ? NAN : x);
    }
  }
  return t;
}

struct Counts {
  int seen = 0, unseen = 0;        ///< right answers
  std::vector<int64_t> confusion;  ///< [C, C]
};

/// The γ between low and high: the same counts.
struct Step {
  double low, high;
  int seen, unseen;
};

class Brute {
 public:
  explicit Brute(const Table& table) : t_(table) {
    for (const int64_t y : t_.labels) ++(t_.seen[y] ? of_seen : of_unseen);
  }
  int of_seen = 0, of_unseen = 0;  ///< images

  Counts count(double gamma) const {
    Counts n;
    n.confusion.resize(t_.classes * t_.classes);
    for (int i = 0; i < t_.images(); ++i) {
      const int64_t winner = argmax(i, gamma), y = t_.labels[i];
      if (winner >= 0) ++n.confusion[y * t_.classes + winner];
      if (winner == y) ++(t_.seen[y] ? n.seen : n.unseen);
    }
    return n;
  }

  /// Every γ at which any logit of S equals any of U, of any image, and one γ between neighbours and beyond the ends.
  std::vector<double> gammas() const {
    const std::vector<double> equal = equalities();
    if (equal.empty()) return {0};
    std::vector<double> all{equal.front() - 1};
    for (size_t k = 0; k < equal.size(); ++k) {
      all.push_back(equal[k]);
      all.push_back(k + 1 < equal.size() ? (equal[k] + equal[k + 1]) / 2 : equal[k] + 1);
    }
    return all;
  }

  /// The counts between switching points as γ rises; neighbours differ.
  std::vector<Step> steps() const {
    const std::vector<double> equal = equalities();
    std::vector<Step> result;
    for (size_t k = 0; k <= equal.size(); ++k) {
      const double low = k == 0 ? -INFINITY : equal[k - 1], high = k == equal.size() ? INFINITY : equal[k];
      const double gamma = equal.empty() ? 0 : k == 0 ? high - 1 : k == equal.size() ? low + 1 : (low + high) / 2;
      const Counts n = count(gamma);
      if (!result.empty() && result.back().seen == n.seen && result.back().unseen == n.unseen)
        result.back().high = high;
      else
        result.push_back({low, high, n.seen, n.unseen});
    }
    return result;
  }

  /// The area under unseen against seen accuracy as a count of pairs, one image of S and one of U: 1 if some γ has both
  /// right, ½ if one goes wrong at the γ at which the other comes right.
  double area() const {
    double sum = 0;
    for (int i = 0; i < t_.images(); ++i)
      for (int j = 0; j < t_.images(); ++j) {
        if (!t_.seen[t_.labels[i]] || t_.seen[t_.labels[j]]) continue;
        if (argmax(i, -1e6) != t_.labels[i] || argmax(j, 1e6) != t_.labels[j]) continue;
        const double wrong_from = gap(i), right_from = gap(j);
        sum += right_from < wrong_from ? 1 : right_from == wrong_from ? 0.5 : 0;
      }
    return sum == 0 ? 0 : sum / of_seen / of_unseen;
  }

 private:
  double logit(int i, int64_t c) const { return t_.logits[i * t_.classes + c]; }

  int64_t argmax(int i, double gamma) const {
    int64_t best = -1;
    double value = 0;
    for (int64_t c = 0; c < t_.classes; ++c) {
      const double z = t_.seen[c] ? logit(i, c) : logit(i, c) + gamma;
      if (std::isnan(z)) return -1;
      if (best < 0 || z > value) best = c, value = z;
    }
    return best;
  }

  // The largest logit of S less the largest of U.
  double gap(int i) const {
    double s = -INFINITY, u = -INFINITY;
    for (int64_t c = 0; c < t_.classes; ++c) (t_.seen[c] ? s : u) = std::max(t_.seen[c] ? s : u, logit(i, c));
    return s - u;
  }

  std::vector<double> equalities() const {
    std::vector<double> all;
    for (int i = 0; i < t_.images(); ++i)
      for (int64_t a = 0; a < t_.classes; ++a)
        for (int64_t b = 0; b < t_.classes; ++b)
          if (t_.seen[a] && !t_.seen[b]) {
            const double d = logit(i, a) - logit(i, b);
            if (!std::isnan(d)) all.push_back(d);
          }
    std::sort(all.begin(), all.end());
    all.erase(std::unique(all.begin(), all.end()), all.end());
    return all;
  }

  Table t_;
};

}  // namespace holt::test
