#include "data/split.h"

#include <algorithm>

#include "kernels/hash.h"

namespace holt::data {
namespace {

constexpr double kTrainShare = 0.7;

}  // namespace

std::vector<int64_t> split_positions(const std::vector<int64_t>& labels, const std::vector<std::string>& classes,
                                     const std::string& name, Part part, uint64_t seed) {
  std::vector<std::vector<int64_t>> of_class(classes.size());
  for (size_t i = 0; i < labels.size(); ++i)
    of_class[static_cast<size_t>(labels[i])].push_back(static_cast<int64_t>(i));
  std::vector<int64_t> chosen;
  for (size_t k = 0; k < classes.size(); ++k) {
    const int64_t n = std::ssize(of_class[k]);
    if (n == 0) continue;
    const auto share = static_cast<int64_t>(kTrainShare * static_cast<double>(n) + 0.5);
    const int64_t cut = n == 1 ? 1 : std::clamp<int64_t>(share, 1, n - 1);
    const std::vector<int64_t> order = epoch_order(n, seed ^ fnv1a(name + "/" + classes[k]), 0);
    for (int64_t i = part == Part::train ? 0 : cut; i < (part == Part::train ? cut : n); ++i)
      chosen.push_back(of_class[k][static_cast<size_t>(order[static_cast<size_t>(i)])]);
  }
  std::sort(chosen.begin(), chosen.end());
  return chosen;
}

}  // namespace holt::data
