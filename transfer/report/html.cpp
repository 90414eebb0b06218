// The page's plain HTML: what can be read without JavaScript.
#include <algorithm>
#include <map>
#include <set>

#include "kernels/error.h"
#include "transfer/method.h"
#include "transfer/report/parts.h"

namespace holt::transfer::report {
namespace {

std::string joined(const std::vector<std::string>& words, const std::string& between = ", ") {
  std::string out;
  for (const std::string& w : words) out.append(out.empty() ? "" : between).append(w);
  return out;
}

// The distinct values of `value` over the results, in order.
template <class F>
std::vector<std::string> distinct(const std::vector<Result>& results, const F& value) {
  std::vector<std::string> list;
  for (const Result& r : results)
    if (const std::string v = value(r); std::find(list.begin(), list.end(), v) == list.end()) list.push_back(v);
  return list;
}

std::string fact(const std::string& name, const std::string& value) {
  return value.empty() ? "" : format("<div><dt>{}</dt><dd>{}</dd></div>\n", escape(name), escape(value));
}

// "31" or "26–34".
std::string range(const std::set<size_t>& values) {
  if (values.empty()) return "";
  if (values.size() == 1) return format("{}", *values.begin());
  return format("{}–{}", *values.begin(), *values.rbegin());
}

std::string class_list(const std::vector<int64_t>& indices, const std::vector<std::string>& classes) {
  std::vector<std::string> names;
  for (const int64_t c : indices) names.push_back(escape(classes.at(static_cast<size_t>(c))));
  return joined(names, " · ");
}

}  // namespace

std::string facts(const Table& table, const ReportInput& input) {
  const std::vector<Result>& results = input.results;
  std::set<size_t> seen;
  std::vector<std::string> seeds;
  for (const Result& r : results) seen.insert(r.split.seen.size());
  for (const uint64_t s : table.seeds) seeds.push_back(format("{}", s));
  const std::string tasks = format("{}: {}", table.tasks.size(), joined(table.tasks));
  return fact("Data", table.data) +
         fact("Source", joined(distinct(results, [](const Result& r) { return r.source; }))) +
         fact("Classes",
              format("{}, of which {} are seen in the target", results.front().classes.size(), range(seen))) +
         fact("Split", joined(distinct(results, [](const Result& r) { return r.split.name; }))) +
         fact(table.tasks.size() == 1 ? "Target" : "Targets", table.tasks.size() == 1 ? table.tasks[0] : tasks) +
         fact(seeds.size() == 1 ? "Seed" : "Seeds", joined(seeds)) + fact("Selection", joined(table.selections)) +
         fact("Date", input.date) +
         fact("Commit", joined(distinct(results, [](const Result& r) { return r.commit; }))) +
         fact("Device", joined(distinct(results, [](const Result& r) { return r.device; }))) +
         fact("Jobs", table.failures.empty() ? format("{}", results.size())
                                             : format("{}, of which {} failed", results.size(), table.failures.size()));
}

std::string lead(const Table& table) {
  const TableRow* best = table.best();
  if (!best) return "";
  std::string text = format("<strong>{}</strong> classifies {}&thinsp;% of all test images right", escape(best->method),
                            percent(best->overall.mean));
  if (const auto& p = best->against_sgd)
    text += format(", {} points against plain fine-tuning, and is better on {} of {} {}",
                   signed_percent(p->difference.mean), p->won, p->difference.n,
                   p->difference.n == 1 ? "target" : "targets");
  text += ".";
  const TableRow *source = table.find("source"), *oracle = table.find("oracle");
  if (source && source->jobs && oracle && oracle->jobs)
    text += format(" Without adaptation it is {}&thinsp;%, with target data of all classes {}&thinsp;%.",
                   percent(source->overall.mean), percent(oracle->overall.mean));
  return text;
}

std::string table_html(const Table& table) {
  const Grid g = grid(table);
  std::string out =
      "<table id=\"results\">\n<thead><tr><th scope=\"col\" aria-sort=\"none\"><button>method</button></th>";
  for (const Column& column : g.columns)
    out += format("<th scope=\"col\" aria-sort=\"none\"><button title=\"{}\">{}</button></th>", escape(column.help),
                  escape(column.title));
  out += "</tr></thead>\n<tbody>\n";
  for (size_t r = 0; r < table.rows.size(); ++r) {
    const TableRow& row = table.rows[r];
    std::string name = escape(row_name(row));
    for (size_t at = 0; (at = name.find('+', at)) != std::string::npos; at += 6) name.insert(at, "<wbr>");
    out += format("<tr data-row=\"{}\" class=\"{}\"><th scope=\"row\"><button title=\"{}\">{}</button></th>", r,
                  row.competes() ? "" : "frame", escape(describe(row.method)), name);
    for (const Cell& cell : g.cells[r]) {
      out += cell.value ? format("<td data-v=\"{:.6g}\">", *cell.value) : "<td>";
      out += cell.best ? format("<b>{}</b>", cell.text) : cell.text;
      if (!cell.more.empty()) out += format("<small>{}</small>", cell.more);
      out += "</td>";
    }
    out += "</tr>\n";
  }
  out += "</tbody>\n";
  if (!table.published.empty()) {
    const std::string rest = format("<td colspan=\"{}\"></td>", g.columns.size() - 3);
    out += "<tbody class=\"published\">\n";
    for (const Published& p : table.published)
      out += format("<tr><th scope=\"row\">published: {} ({})</th><td>{}</td><td>{}</td><td>{}</td>{}</tr>\n",
                    escape(p.what), escape(p.network), percent(p.overall), p.seen ? percent(*p.seen) : "–",
                    p.unseen ? percent(*p.unseen) : "–", rest);
    out += "</tbody>\n";
  }
  return out + "</table>";
}

std::string footnotes_html(const Table& table) {
  std::string out;
  if (!table.published.empty()) out += format("<li>{}</li>\n", escape(published_remark()));
  for (const std::string& line : footnotes(table)) {
    const bool failure = line.starts_with("  ");
    out += format("<li{}>{}</li>\n", failure ? " class=\"failure\"" : "", escape(line));
  }
  return out;
}

std::string splits_html(const Table& table, const std::vector<Result>& results) {
  std::map<std::pair<std::string, uint64_t>, const Result*> first;
  const std::vector<std::string> names = task_names(results);
  for (size_t i = 0; i < results.size(); ++i) first.emplace(std::pair{names[i], results[i].seed}, &results[i]);
  std::string out;
  for (const std::string& task : table.tasks)
    for (const uint64_t seed : table.seeds) {
      const auto it = first.find({task, seed});
      if (it == first.end()) continue;
      const Result& r = *it->second;
      out += format("<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td></tr>\n", escape(task), seed,
                    class_list(r.split.seen, r.classes), class_list(r.split.unseen(std::ssize(r.classes)), r.classes));
    }
  return out;
}

std::string methods_html(const Table& table, const std::vector<Result>& results) {
  const auto option_of = [&](const TableRow& row, const OptionInfo& option) {
    std::vector<std::string> values;
    for (const Result& r : results)
      if (const std::string v = get(r.options, option.name); r.method == row.method && r.selection == row.selection)
        if (std::find(values.begin(), values.end(), v) == values.end()) values.push_back(v);
    return joined(values, " or ");
  };
  // What most methods have stands once, and with each method what it has otherwise.
  std::string common;
  std::vector<std::string> own(table.rows.size());
  for (const OptionInfo& option : option_table()) {
    std::map<std::string, size_t> counts;
    for (const TableRow& row : table.rows) ++counts[option_of(row, option)];
    const std::string usual = std::max_element(counts.begin(), counts.end(), [](const auto& a, const auto& b) {
                                return a.second < b.second;
                              })->first;
    common += format("<code>{}={}</code> ", escape(option.name), escape(usual));
    for (size_t r = 0; r < own.size(); ++r)
      if (const std::string mine = option_of(table.rows[r], option); mine != usual)
        own[r] += format(" <code>{}={}</code>", escape(option.name), escape(mine));
  }
  std::string out = "<dl class=\"methods\">\n";
  for (size_t r = 0; r < own.size(); ++r)
    out += format("<dt>{}</dt><dd>{}{}</dd>\n", escape(row_name(table.rows[r])), escape(describe(table.rows[r].method)),
                  own[r]);
  return out + format("</dl>\n<p>Options where nothing else is said: {}</p>\n", common);
}

}  // namespace holt::transfer::report
