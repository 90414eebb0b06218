#include "transfer/split.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <sstream>

#include "core/nearest.h"
#include "core/random.h"
#include "kernels/error.h"
#include "kernels/file.h"
#include "kernels/hash.h"

namespace holt::transfer {
namespace {

// A seed's random numbers differ between targets, whatever their order.
std::vector<int64_t> draw(int64_t count, int64_t classes, const std::string& target, uint64_t seed) {
  Generator generator(seed ^ fnv1a("split:" + target));
  std::vector<int64_t> order = permutation(classes, generator);
  order.resize(static_cast<size_t>(count));
  std::sort(order.begin(), order.end());
  return order;
}

// "31" or "50%".
int64_t parse_count(const std::string& text, int64_t classes) {
  double value = 0;
  const bool percent = text.ends_with('%');
  const char* end = text.data() + text.size() - (percent ? 1 : 0);
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  check(error == std::errc() && rest == end && value > 0 && value <= 1e9 &&
            (percent || value == static_cast<double>(int64_t(value))),
        "split: '{}' is no number of classes; write one, as in random:{}, or a part, as in random:50%", text,
        classes / 2);
  return percent ? static_cast<int64_t>(value / 100 * static_cast<double>(classes) + 0.5) : static_cast<int64_t>(value);
}

std::vector<int64_t> by_name(const std::vector<std::string>& names, const std::vector<std::string>& classes,
                             const std::string& where) {
  std::vector<int64_t> seen;
  for (const std::string& name : names) {
    const auto it = std::find(classes.begin(), classes.end(), name);
    if (it == classes.end())
      fail("split: {} names the class '{}', which the data does not have{} its {} classes are {}", where, name,
           nearest(name, classes).empty() ? ";" : did_you_mean(name, classes), classes.size(), first_of(classes, 12));
    seen.push_back(it - classes.begin());
  }
  std::sort(seen.begin(), seen.end());
  const auto twice = std::adjacent_find(seen.begin(), seen.end());
  check(twice == seen.end(), "split: {} names the class '{}' twice", where, twice == seen.end() ? "" : classes[*twice]);
  return seen;
}

std::vector<std::string> lines_of(const std::string& path) {
  std::istringstream in(read_file(path));
  std::vector<std::string> names;
  for (std::string line; std::getline(in, line);) {
    line = line.substr(0, line.find('#'));
    const size_t first = line.find_first_not_of(" \t\r"), last = line.find_last_not_of(" \t\r");
    if (first != std::string::npos) names.push_back(line.substr(first, last - first + 1));
  }
  return names;
}

std::vector<std::string> words_of(const std::string& list) {
  std::istringstream in(list);
  std::vector<std::string> words;
  for (std::string word; std::getline(in, word, ',');) words.push_back(word);
  return words;
}

}  // namespace

std::vector<int64_t> Split::unseen(int64_t classes) const {
  std::vector<int64_t> rest;
  const std::vector<bool> is_seen = mask(classes);
  for (int64_t c = 0; c < classes; ++c)
    if (!is_seen[c]) rest.push_back(c);
  return rest;
}

std::vector<bool> Split::mask(int64_t classes) const {
  std::vector<bool> is_seen(classes);
  for (const int64_t c : seen) is_seen.at(c) = true;
  return is_seen;
}

void validate(const Split& split, int64_t classes) {
  const std::vector<int64_t>& s = split.seen;
  check(!s.empty(), "split {}: no class is seen, so there is nothing to adapt with", split.name);
  check(s.front() >= 0 && s.back() < classes && std::adjacent_find(s.begin(), s.end(), std::greater_equal()) == s.end(),
        "split {}: seen classes must ascend within 0 … {}", split.name, classes - 1);
  check(static_cast<int64_t>(s.size()) < classes,
        "split {}: all {} classes are seen, so none is missing; for plain fine-tuning use the method 'oracle'",
        split.name, classes);
}

Split make_split(const std::string& spec, const std::vector<std::string>& classes, const std::string& target,
                 uint64_t seed, const std::vector<int64_t>& present) {
  const auto count = static_cast<int64_t>(classes.size());
  const size_t colon = spec.find(':');
  const std::string kind = spec.substr(0, colon), rest = colon == std::string::npos ? "" : spec.substr(colon + 1);
  Split split{spec, {}};
  const auto keep = [&](auto&& chosen) {
    for (int64_t c = 0; c < count; ++c)
      if (chosen(c)) split.seen.push_back(c);
  };
  if (kind == "random") {
    const int64_t n = spec == "random" ? count / 2 : parse_count(rest, count);
    check(n >= 1 && n < count, "split: {} of {} classes cannot be drawn: at least one must be seen and one missing", n,
          count);
    split.seen = draw(n, count, target, seed);
  } else if (spec == "first-half") {
    keep([&](int64_t c) { return c < count / 2; });
  } else if (spec == "last-half") {
    keep([&](int64_t c) { return c >= count / 2; });
  } else if (spec == "even") {
    keep([](int64_t c) { return c % 2 == 0; });
  } else if (spec == "odd") {
    keep([](int64_t c) { return c % 2 == 1; });
  } else if (spec == "present") {
    split.seen = present;
  } else if (kind == "classes") {
    split.seen = by_name(words_of(rest), classes, "--split");
  } else if (kind == "file") {
    split.seen = by_name(lines_of(rest), classes, rest);
  } else {
    fail(
        "split: '{}' is unknown; known are random, random:N, random:P%, first-half, last-half, even, odd, present, "
        "classes:a,b,… and file:PATH",
        spec);
  }
  validate(split, count);
  return split;
}

void to_json(nlohmann::json& j, const Split& s) { j = {{"name", s.name}, {"seen", s.seen}}; }
void from_json(const nlohmann::json& j, Split& s) {
  j.at("name").get_to(s.name);
  j.at("seen").get_to(s.seen);
}

}  // namespace holt::transfer
