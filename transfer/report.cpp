#include "transfer/report.h"

#include <algorithm>
#include <map>

#include "data/embedded.h"
#include "kernels/error.h"
#include "transfer/method.h"
#include "transfer/report/parts.h"

namespace holt::data {
const std::vector<EmbeddedFile>& embedded_report();  // transfer/report/: template, style, scripts
}

namespace holt::transfer {
namespace report {

std::string escape(std::string_view text) {
  std::string out;
  for (const char c : text) switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  return out;
}

std::string base64(std::string_view bytes) {
  static constexpr std::string_view letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t n = std::min<size_t>(3, bytes.size() - i);
    uint32_t word = 0;
    for (size_t k = 0; k < 3; ++k) word = word << 8 | (k < n ? static_cast<uint8_t>(bytes[i + k]) : 0u);
    for (size_t k = 0; k < 4; ++k) out += k <= n ? letters[word >> (18 - 6 * k) & 63] : '=';
  }
  return out;
}

namespace {

std::vector<std::string> words_of(const std::string& method) {
  std::vector<std::string> words;
  for (size_t begin = 0; begin <= method.size();) {
    const size_t end = std::min(method.find('+', begin), method.size());
    words.push_back(method.substr(begin, end - begin));
    begin = end + 1;
  }
  return words;
}

// The embedded files whose names end so, one after another by name.
std::string embedded(std::string_view ending) {
  std::map<std::string_view, std::string_view> files;
  for (const data::EmbeddedFile& f : data::embedded_report())
    if (f.name.ends_with(ending)) files[f.name] = {reinterpret_cast<const char*>(f.bytes.data()), f.bytes.size()};
  std::string out;
  for (const auto& [name, text] : files) out += text;
  return out;
}

// Puts values in the place of "{{name}}"; what a value holds is not looked at again.
std::string fill(const std::string& page, const std::map<std::string, std::string>& values) {
  std::string out;
  for (size_t at = 0;;) {
    const size_t open = page.find("{{", at), close = page.find("}}", open);
    if (open == std::string::npos) return out += page.substr(at);
    out += page.substr(at, open - at);
    out += values.at(page.substr(open + 2, close - open - 2));
    at = close + 2;
  }
}

void check_input(const ReportInput& input) {
  check(!input.results.empty(), "report: there are no results");
  const Result& first = input.results.front();
  const int64_t classes = std::ssize(first.classes);
  for (const Result& r : input.results) {
    check(r.data == first.data && r.classes == first.classes,
          "report: the results of '{}' on '{}' have other classes than those of '{}' on '{}'; one page is of one data "
          "set",
          r.method, r.data, first.method, first.data);
    for (const int64_t c : r.split.seen)
      check(c >= 0 && c < classes, "report: {} on {}: class {} of {}", r.method, r.target, c, classes);
    for (const auto& [label, predicted, count] : r.confusion)
      check(label >= 0 && label < classes && predicted >= 0 && predicted < classes,
            "report: {} on {}: label {} and prediction {} of {} classes", r.method, r.target, label, predicted,
            classes);
    for (const auto* counts : {&r.class_count, &r.class_correct})
      check(!r.error.empty() || std::ssize(*counts) == classes, "report: {} on {}: counts of {} classes out of {}",
            r.method, r.target, counts->size(), classes);
  }
  for (const Picture& p : input.pictures)
    check(p.label >= 0 && p.label < classes, "report: a picture of {} has label {} of {} classes", p.domain, p.label,
          classes);
}

}  // namespace

std::string family(const std::string& method) {
  const std::vector<std::string> words = words_of(method);
  const auto has = [&](std::initializer_list<std::string_view> names) {
    return std::any_of(words.begin(), words.end(),
                       [&](const std::string& w) { return std::find(names.begin(), names.end(), w) != names.end(); });
  };
  if (has({"source", "oracle"})) return "reference";
  if (has({"sgd-restart", "local-sgd"})) return "control";
  if (has({"holt", "align", "gate", "seen-softmax"})) return "ours";
  if (has({"lolsgd", "frozen-classifier", "distill", "rank"})) return "paper";
  return "baseline";
}

std::string describe(const std::string& method) {
  std::string text;
  for (const std::string& word : words_of(method)) {
    std::string one;
    for (const MethodEntry& p : method_parts())
      if (p.name == word) one = p.source.empty() ? p.description : p.description + " (" + p.source + ")";
    for (const MethodAlias& a : method_aliases())
      if (a.name == word) one = a.description;
    if (!one.empty()) text += (text.empty() ? "" : "; ") + one;
  }
  return text;
}

}  // namespace report

std::string render_report(const ReportInput& input) {
  report::check_input(input);
  ReportInput kept = input;
  kept.results = latest(std::move(kept.results));
  const std::vector<Result>& results = kept.results;
  Table table = tabulate(results);
  table.notes = input.notes;
  const std::string command =
      input.command.empty()
          ? ""
          : "<pre class=\"command\" tabindex=\"0\" aria-label=\"the command that repeats this run\"><code>" +
                report::escape(input.command) + "</code></pre>";
  return report::fill(report::embedded("page.html"), {{"title", report::escape(table.data)},
                                                      {"lead", report::lead(table)},
                                                      {"facts", report::facts(table, kept)},
                                                      {"command", command},
                                                      {"table", report::table_html(table)},
                                                      {"footnotes", report::footnotes_html(table)},
                                                      {"splits", report::splits_html(table, results)},
                                                      {"methods", report::methods_html(table, results)},
                                                      {"style", report::embedded(".css")},
                                                      {"data", report::data_json(table, results, input.pictures)},
                                                      {"script", report::embedded(".js")}});
}

}  // namespace holt::transfer
