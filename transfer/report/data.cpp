// What the page's scripts draw from, compact: lists flat. Fractions are integers of 1/10000; those of a and c of 10⁻⁸.
//
//   classes  names            rows     {name, family, text, peeked}, in the table's order
//   tasks    names            seeds    numbers
//   splits   lists of seen classes, each once
//   jobs     {m: row, t: task, s: seed's position, p: split, a: [overall, seen, unseen, hmean, AUSUC, seen|S, unseen|U,
//            NCM seen, NCM unseen], c: {calibration: [overall, seen, unseen, γ as a number]}, v: curve (seen, unseen,
//            …), n, k: images and right ones by class, x: confusion (label·C + predicted, count, …), l: loss, e: steps
//            of one entry of l, h: checkpoints (step, seen, unseen, …), i: samples (position, predicted, probability,
//            …), w: [seconds of adaptation, of selection]}
//   pictures {d: domain, p: position, y: label, c: caption, u: data URI}
#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "core/json.h"
#include "kernels/error.h"
#include "transfer/report/parts.h"

namespace holt::transfer::report {
namespace {

using nlohmann::json;

constexpr size_t kLossPoints = 200;

int64_t parts_of_10000(double x) { return std::llround(1e4 * x); }
int64_t fine(double x) { return std::llround(1e8 * x); }  // so that the page's means round as the table's

// Three decimals: as a double that prints as such.
json thousandths(double x) { return std::isfinite(x) ? json(std::round(x * 1e3) / 1e3) : json(nullptr); }

// Means of equally many neighbours, so that no more than kLossPoints remain; what is not a number is null.
std::pair<json, size_t> thinned(const std::vector<float>& loss) {
  const size_t each = std::max<size_t>(1, (loss.size() + kLossPoints - 1) / kLossPoints);
  json list = json::array();
  for (size_t begin = 0; begin < loss.size(); begin += each) {
    const size_t end = std::min(begin + each, loss.size());
    double sum = 0;
    for (size_t i = begin; i < end; ++i) sum += loss[i];
    const double mean = sum / static_cast<double>(end - begin);
    list.push_back(thousandths(mean));
  }
  return {list, each};
}

template <class T>
size_t index_of(std::vector<T>& list, const T& value) {
  const auto it = std::find(list.begin(), list.end(), value);
  if (it != list.end()) return static_cast<size_t>(it - list.begin());
  list.push_back(value);
  return list.size() - 1;
}

json accuracies(const Result& r) {
  json list = json::array();
  for (const double x : {r.plain.overall, r.plain.seen, r.plain.unseen, r.plain.hmean, r.ausuc, r.seen_in_seen,
                         r.unseen_in_unseen, r.ncm.seen, r.ncm.unseen})
    list.push_back(fine(x));
  return list;
}

json job(const Result& r) {
  json j;
  j["a"] = accuracies(r);
  j["c"] = json::object();
  for (const auto& [name, a] : r.calibrated)
    j["c"][name] = {fine(a.overall), fine(a.seen), fine(a.unseen), thousandths(a.gamma)};
  json curve = json::array(), confusion = json::array(), checkpoints = json::array(), samples = json::array();
  for (const auto& [seen, unseen] : r.curve) {
    curve.push_back(parts_of_10000(seen));
    curve.push_back(parts_of_10000(unseen));
  }
  const int64_t classes = std::ssize(r.classes);
  for (const auto& [label, predicted, count] : r.confusion) {
    confusion.push_back(label * classes + predicted);
    confusion.push_back(count);
  }
  for (const Checkpoint& c : r.checkpoints) {
    checkpoints.push_back(c.step);
    checkpoints.push_back(parts_of_10000(c.seen));
    checkpoints.push_back(parts_of_10000(c.unseen));
  }
  for (const Sample& s : r.samples) {
    samples.push_back(s.position);
    samples.push_back(s.predicted);
    samples.push_back(std::isfinite(s.probability) ? json(parts_of_10000(s.probability)) : json(nullptr));
  }
  auto [loss, each] = thinned(r.loss);
  j["v"] = std::move(curve);
  j["n"] = r.class_count;
  j["k"] = r.class_correct;
  j["x"] = std::move(confusion);
  j["l"] = std::move(loss);
  j["e"] = each;
  j["h"] = std::move(checkpoints);
  j["i"] = std::move(samples);
  j["w"] = {thousandths(r.seconds), thousandths(r.selection_seconds)};
  return j;
}

}  // namespace

std::string data_json(const Table& table, const std::vector<Result>& results, const std::vector<Picture>& pictures) {
  json rows = json::array(), jobs = json::array(), images = json::array();
  for (const TableRow& row : table.rows)
    rows.push_back({{"name", row_name(row)},
                    {"family", family(row.method)},
                    {"text", describe(row.method)},
                    {"peeked", row.peeked()}});
  std::vector<std::vector<int64_t>> splits;
  std::vector<std::string> tasks = table.tasks, targets(tasks.size());
  std::vector<uint64_t> seeds = table.seeds;
  const std::vector<std::string> names = task_names(results);
  for (size_t i = 0; i < results.size(); ++i) {
    const Result& r = results[i];
    targets[index_of(tasks, names[i])] = r.target;
    if (!r.error.empty()) continue;
    json j = job(r);
    const auto row = std::find_if(table.rows.begin(), table.rows.end(), [&](const TableRow& t) {
      return t.method == r.method && t.selection == r.selection;
    });
    j["m"] = row - table.rows.begin();
    j["t"] = index_of(tasks, names[i]);
    j["s"] = index_of(seeds, r.seed);
    j["p"] = index_of(splits, r.split.seen);
    jobs.push_back(std::move(j));
  }
  for (const Picture& p : pictures)
    images.push_back({{"d", p.domain},
                      {"p", p.position},
                      {"y", p.label},
                      {"c", p.caption},
                      {"u", "data:image/png;base64," + base64(p.png)}});
  const TableRow* best = table.best();
  const json all = {{"classes", results.front().classes},
                    {"source", results.front().source},
                    {"rows", rows},
                    {"best", best ? json(best - table.rows.data()) : json(nullptr)},
                    {"tasks", tasks},
                    {"targets", targets},
                    {"seeds", table.seeds},
                    {"splits", splits},
                    {"jobs", jobs},
                    {"pictures", images}};
  std::string safe;
  for (const char c : json_text(all, -1, NotUtf8::replace)) {
    if (c == '<' || c == '>' || c == '&')
      safe += format("\\u{:04x}", static_cast<int64_t>(c));
    else
      safe += c;
  }
  return safe;
}

}  // namespace holt::transfer::report
