// The table for other programs: CSV and JSON, full precision.
#include <array>
#include <nlohmann/json.hpp>

#include "kernels/error.h"
#include "transfer/table_text.h"

namespace holt::transfer {
namespace {

using nlohmann::json;

// RFC 4180: quoted where it must be.
std::string quoted(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string out(1, '"');
  for (const char c : text) out.append(c == '"' ? 2 : 1, c);
  out.push_back('"');
  return out;
}

std::string line(const std::vector<std::string>& fields) {
  std::string out;
  for (size_t i = 0; i < fields.size(); ++i) out.append(i ? "," : "").append(quoted(fields[i]));
  return out.append("\r\n");
}

std::string number(double x) { return format("{:.6g}", x); }

std::vector<std::pair<std::string, const Statistic*>> statistics(const TableRow& row) {
  return {{"overall", &row.overall}, {"seen", &row.seen},   {"unseen", &row.unseen},
          {"hmean", &row.hmean},     {"ausuc", &row.ausuc}, {"seconds", &row.seconds}};
}

void add_statistic(std::vector<std::string>& fields, const Statistic* s) {
  const bool any = s && s->tasks.n > 0;
  fields.push_back(any ? number(s->mean) : "");
  fields.push_back(any && s->seeds.n > 1 ? number(s->seeds.std) : "");
  fields.push_back(any && s->tasks.n > 1 ? number(s->tasks.std) : "");
}

void add_columns(std::vector<std::string>& fields, const std::string& name) {
  for (const char* ending : {"", "_std", "_target_std"}) fields.push_back(name + ending);
}

json to_json(const Statistic& s) {
  if (s.tasks.n == 0) return nullptr;
  return {{"mean", s.mean},
          {"std", s.seeds.n > 1 ? json(s.seeds.std) : json(nullptr)},
          {"target_std", s.tasks.n > 1 ? json(s.tasks.std) : json(nullptr)}};
}

json to_json(const std::optional<double>& x) { return x ? json(*x) : json(nullptr); }

}  // namespace

std::string summary_csv(const Table& table) {
  std::vector<std::string> head = {"method", "selection", "jobs", "failed"};
  const TableRow none;
  for (const auto& [name, s] : statistics(none)) add_columns(head, name);
  for (const std::string& name : table.calibrations) add_columns(head, "overall_" + name);
  for (const char* name : {"vs_sgd", "vs_sgd_target_std", "vs_sgd_won", "vs_sgd_tied", "vs_sgd_targets"})
    head.push_back(name);
  std::string out = line(head);
  for (const TableRow& row : table.rows) {
    std::vector<std::string> fields = {row.method, row.selection, format("{}", row.jobs), format("{}", row.failed)};
    for (const auto& [name, s] : statistics(row)) add_statistic(fields, s);
    for (const std::string& name : table.calibrations) {
      const auto it = row.calibrated.find(name);
      add_statistic(fields, it == row.calibrated.end() ? nullptr : &it->second);
    }
    if (const auto& p = row.against_sgd) {
      fields.insert(fields.end(), {number(p->difference.mean), p->difference.n > 1 ? number(p->difference.std) : "",
                                   format("{}", p->won), format("{}", p->tied), format("{}", p->difference.n)});
    } else {
      fields.insert(fields.end(), 5, "");
    }
    out += line(fields);
  }
  return out;
}

std::string jobs_csv(const std::vector<Result>& results) {
  static constexpr std::array calibrations = {"alg", "pcv", "best"};
  std::vector<std::string> head = {
      "data",  "source", "target",       "method",           "seed",        "selection", "overall",   "seen", "unseen",
      "hmean", "ausuc",  "seen_in_seen", "unseen_in_unseen", "ncm_overall", "ncm_seen",  "ncm_unseen"};
  for (const char* name : calibrations)
    for (const char* what : {"gamma", "overall", "seen", "unseen", "hmean"})
      head.push_back(std::string(name) + "_" + what);
  head.insert(head.end(), {"seconds", "selection_seconds", "peak_bytes", "seen_classes", "split", "device", "threads",
                           "commit", "id", "error"});
  std::string out = line(head);
  for (const Result& r : results) {
    std::vector<std::string> fields = {r.data, r.source, r.target, r.method, format("{}", r.seed), r.selection};
    const bool done = r.error.empty();
    for (const double x : {r.plain.overall, r.plain.seen, r.plain.unseen, r.plain.hmean, r.ausuc, r.seen_in_seen,
                           r.unseen_in_unseen, r.ncm.overall, r.ncm.seen, r.ncm.unseen})
      fields.push_back(done ? number(x) : "");
    for (const char* name : calibrations) {
      const auto it = r.calibrated.find(name);
      if (it == r.calibrated.end()) {
        fields.insert(fields.end(), 5, "");
        continue;
      }
      const Accuracies& a = it->second;
      for (const double x : {a.gamma, a.overall, a.seen, a.unseen, a.hmean}) fields.push_back(number(x));
    }
    fields.insert(fields.end(), {number(r.seconds), number(r.selection_seconds), format("{}", r.peak_bytes),
                                 format("{}", r.split.seen.size()), r.split.name, r.device, format("{}", r.threads),
                                 r.commit, r.id, r.error});
    out += line(fields);
  }
  return out;
}

json summary_json(const Table& table) {
  json rows = json::array();
  for (const TableRow& row : table.rows) {
    json j = {{"method", row.method}, {"selection", row.selection}, {"jobs", row.jobs}, {"failed", row.failed}};
    for (const auto& [name, s] : statistics(row)) j[name] = to_json(*s);
    j["calibrated"] = json::object();
    for (const auto& [name, s] : row.calibrated) j["calibrated"][name] = to_json(s);
    j["vs_sgd"] = nullptr;
    if (const auto& p = row.against_sgd)
      j["vs_sgd"] = {{"mean", p->difference.mean}, {"won", p->won}, {"tied", p->tied}, {"targets", p->difference.n}};
    rows.push_back(std::move(j));
  }
  json failures = json::array();
  for (const Failure& f : table.failures)
    failures.push_back({{"method", f.method}, {"task", f.task}, {"seed", f.seed}, {"error", f.error}});
  json published = json::array();
  for (const Published& p : table.published)
    published.push_back({{"what", p.what},
                         {"overall", p.overall},
                         {"seen", to_json(p.seen)},
                         {"unseen", to_json(p.unseen)},
                         {"network", p.network}});
  return {{"data", table.data}, {"tasks", table.tasks}, {"seeds", table.seeds},   {"selections", table.selections},
          {"rows", rows},       {"failures", failures}, {"published", published}, {"notes", table.notes}};
}

}  // namespace holt::transfer
