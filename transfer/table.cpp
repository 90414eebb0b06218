#include "transfer/table.h"

#include <algorithm>
#include <functional>
#include <set>
#include <tuple>

#include "kernels/error.h"
#include "transfer/method.h"

namespace holt::transfer {
namespace {

using Value = std::function<std::optional<double>(const Result&)>;
using Key = std::pair<std::string, uint64_t>;  // task, seed

// The finished jobs of one method and selection.
struct Runs {
  std::string method, selection;
  std::map<Key, const Result*> done = {};
  std::set<std::string> tasks = {};  // of the failed ones too
  int64_t failed = 0;
};

double mean_of(const std::vector<double>& values) { return summarise(values).mean; }

Statistic statistic(const Runs& runs, const Value& value) {
  std::map<std::string, std::vector<double>> by_task;
  std::map<uint64_t, std::vector<double>> by_seed;
  for (const auto& [key, result] : runs.done) {
    const std::optional<double> v = value(*result);
    if (!v) continue;
    by_task[key.first].push_back(*v);
    by_seed[key.second].push_back(*v);
  }
  std::vector<double> tasks, seeds;
  for (const auto& [task, values] : by_task) tasks.push_back(mean_of(values));
  for (const auto& [seed, values] : by_seed)
    if (values.size() == runs.tasks.size()) seeds.push_back(mean_of(values));
  Statistic s;
  s.tasks = summarise(tasks);
  s.seeds = summarise(seeds);
  s.mean = s.tasks.mean;
  return s;
}

std::optional<Paired> compare(const Runs& mine, const Runs& theirs) {
  std::map<std::string, std::pair<std::vector<double>, std::vector<double>>> by_task;
  for (const auto& [key, result] : mine.done) {
    const auto other = theirs.done.find(key);
    if (other == theirs.done.end()) continue;
    by_task[key.first].first.push_back(result->plain.overall);
    by_task[key.first].second.push_back(other->second->plain.overall);
  }
  if (by_task.empty()) return std::nullopt;
  std::vector<double> a, b;
  for (const auto& [task, values] : by_task) {
    a.push_back(mean_of(values.first));
    b.push_back(mean_of(values.second));
  }
  return paired_difference(a, b);
}

TableRow make_row(const Runs& runs) {
  TableRow row;
  row.method = runs.method;
  row.selection = runs.selection;
  row.jobs = std::ssize(runs.done);
  row.failed = runs.failed;
  row.overall = statistic(runs, [](const Result& r) { return r.plain.overall; });
  row.seen = statistic(runs, [](const Result& r) { return r.plain.seen; });
  row.unseen = statistic(runs, [](const Result& r) { return r.plain.unseen; });
  row.hmean = statistic(runs, [](const Result& r) { return r.plain.hmean; });
  row.ausuc = statistic(runs, [](const Result& r) { return r.ausuc; });
  row.seconds = statistic(runs, [](const Result& r) { return r.seconds; });
  std::set<std::string> names;
  for (const auto& [key, result] : runs.done)
    for (const auto& [name, accuracies] : result->calibrated) names.insert(name);
  for (const std::string& name : names)
    row.calibrated[name] = statistic(runs, [&](const Result& r) {
      const auto it = r.calibrated.find(name);
      return it == r.calibrated.end() ? std::nullopt : std::optional(it->second.overall);
    });
  return row;
}

// Where a method stands in the table: standard_methods() first.
size_t rank_of(const std::string& method) {
  const std::vector<std::string>& all = standard_methods();
  return static_cast<size_t>(std::find(all.begin(), all.end(), method) - all.begin());
}

template <class T>
void add_once(std::vector<T>& list, const T& value) {
  if (std::find(list.begin(), list.end(), value) == list.end()) list.push_back(value);
}

// `known` names first, in that order, then the others of `names`.
std::vector<std::string> ordered(const std::vector<std::string>& known, const std::set<std::string>& names) {
  std::vector<std::string> result;
  for (const std::string& name : known)
    if (names.contains(name)) result.push_back(name);
  for (const std::string& name : names) add_once(result, name);
  return result;
}

std::vector<Runs> group(const std::vector<Result>& results, const std::vector<std::string>& tasks) {
  std::vector<Runs> groups;
  for (size_t i = 0; i < results.size(); ++i) {
    const Result& r = results[i];
    auto it = std::find_if(groups.begin(), groups.end(),
                           [&](const Runs& g) { return g.method == r.method && g.selection == r.selection; });
    if (it == groups.end()) it = groups.insert(groups.end(), {r.method, r.selection});
    it->tasks.insert(tasks[i]);
    if (r.error.empty())
      it->done[{tasks[i], r.seed}] = &r;
    else
      ++it->failed;
  }
  std::stable_sort(groups.begin(), groups.end(),
                   [](const Runs& a, const Runs& b) { return rank_of(a.method) < rank_of(b.method); });
  return groups;
}

// sgd under the same selection; else any other.
const Runs* baseline(const std::vector<Runs>& groups, const Runs& mine) {
  const Runs* found = nullptr;
  for (const Runs& g : groups)
    if (g.method == "sgd" && (!found || g.selection == mine.selection)) found = &g;
  return found;
}

}  // namespace

const TableRow* Table::find(const std::string& method) const {
  const auto it = std::find_if(rows.begin(), rows.end(), [&](const TableRow& r) { return r.method == method; });
  return it == rows.end() ? nullptr : &*it;
}

const TableRow* Table::best() const {
  const TableRow* best = nullptr;
  for (const TableRow& row : rows)
    if (row.competes() && (!best || row.overall.mean > best->overall.mean)) best = &row;
  return best;
}

std::vector<Result> latest(std::vector<Result> results) {
  std::map<std::tuple<std::string, std::string, std::string, std::string, uint64_t, std::string>, size_t> last;
  for (size_t i = 0; i < results.size(); ++i) {
    const Result& r = results[i];
    last[{r.data, r.source, r.target, r.method, r.seed, r.selection}] = i;
  }
  std::vector<Result> kept;
  for (size_t i = 0; i < results.size(); ++i) {
    Result& r = results[i];
    if (last.at({r.data, r.source, r.target, r.method, r.seed, r.selection}) == i) kept.push_back(std::move(r));
  }
  return kept;
}

std::vector<std::string> task_names(const std::vector<Result>& results) {
  std::set<std::string> sources;
  for (const Result& r : results) sources.insert(r.source);
  std::vector<std::string> names;
  for (const Result& r : results) names.push_back(sources.size() > 1 ? r.source + " → " + r.target : r.target);
  return names;
}

Table tabulate(const std::vector<Result>& all) {
  const std::vector<Result> results = latest(all);
  const std::vector<std::string> tasks = task_names(results);
  Table table;
  std::set<std::string> selections, calibrations;
  std::set<uint64_t> seeds;
  std::vector<std::string> sources, targets;
  for (size_t i = 0; i < results.size(); ++i) {
    const Result& r = results[i];
    check(r.data == results.front().data, "table: the results are of '{}' and of '{}'; one table is of one data set",
          results.front().data, r.data);
    add_once(table.tasks, tasks[i]);
    add_once(sources, r.source);
    add_once(targets, r.target);
    seeds.insert(r.seed);
    selections.insert(r.selection);
    for (const auto& [name, accuracies] : r.calibrated) calibrations.insert(name);
    if (!r.error.empty()) table.failures.push_back({r.method, tasks[i], r.error, r.seed});
  }
  table.seeds.assign(seeds.begin(), seeds.end());
  table.selections = ordered({"none", "pcv", "oracle"}, selections);
  table.calibrations = ordered({"alg", "pcv", "best"}, calibrations);
  if (!results.empty()) {
    table.data = results.front().data;
    table.published = published_for(table.data, sources, targets, results.front().classes.size());
  }
  const std::vector<Runs> groups = group(results, tasks);
  for (const Runs& g : groups) {
    TableRow row = make_row(g);
    const Runs* sgd = baseline(groups, g);
    if (sgd && g.method != "sgd") row.against_sgd = compare(g, *sgd);
    table.rows.push_back(std::move(row));
  }
  return table;
}

}  // namespace holt::transfer
