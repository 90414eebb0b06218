#include "transfer/summary.h"

#include <cmath>
#include <numeric>

#include "kernels/error.h"

namespace holt::transfer {

Summary summarise(const std::vector<double>& values) {
  for (size_t i = 0; i < values.size(); ++i)
    check(std::isfinite(values[i]), "summarise: value {} of {} is {}", i, values.size(), values[i]);
  if (values.empty()) return {};
  const double n = static_cast<double>(values.size());
  const double mean = std::accumulate(values.begin(), values.end(), 0.0) / n;
  double squares = 0;
  for (const double x : values) squares += (x - mean) * (x - mean);
  return {mean, values.size() > 1 ? std::sqrt(squares / (n - 1)) : 0, std::ssize(values)};
}

Paired paired_difference(const std::vector<double>& mine, const std::vector<double>& theirs) {
  check(mine.size() == theirs.size(), "paired_difference: {} values against {}", mine.size(), theirs.size());
  Paired result;
  std::vector<double> differences;
  for (size_t i = 0; i < mine.size(); ++i) {
    const double d = mine[i] - theirs[i];
    differences.push_back(d);
    if (std::abs(d) <= 1e-9)
      ++result.tied;
    else
      ++(d > 0 ? result.won : result.lost);
  }
  result.difference = summarise(differences);
  return result;
}

}  // namespace holt::transfer
