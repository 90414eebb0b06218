#include "core/nearest.h"

#include <algorithm>
#include <numeric>

namespace holt {

size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t replace = diagonal + (a[i] != b[j]);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replace, row[j] + 1, diagonal + 1});
    }
  }
  return row.back();
}

std::string nearest(const std::string& word, const std::vector<std::string>& candidates) {
  std::string best;
  size_t least = (word.size() <= 3 ? 1 : word.size() <= 6 ? 2 : word.size() / 3) + 1;
  for (const std::string& c : candidates) {
    const size_t d = word.size() >= 3 && c.starts_with(word) ? 1 : edit_distance(word, c);  // --opt for --optimizer
    if (d < least) least = d, best = c;
  }
  return best;
}

std::string did_you_mean(const std::string& word, const std::vector<std::string>& candidates) {
  const std::string guess = nearest(word, candidates);
  return guess.empty() ? "" : "; did you mean '" + guess + "'?";
}

std::string first_of(const std::vector<std::string>& names, size_t most, const std::string& rest) {
  std::string text;
  for (size_t i = 0; i < std::min(names.size(), most); ++i) text += (i ? ", " : "") + names[i];
  return text + (names.size() > most ? rest : "");
}

}  // namespace holt
