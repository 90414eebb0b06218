#include "apps/holt/transfer_output.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "core/json.h"
#include "data/image.h"
#include "kernels/file.h"
#include "transfer/report.h"
#include "transfer/table_text.h"

namespace holt::app {
namespace {

using namespace transfer;

constexpr int64_t kPictureSide = 96, kSourcePictures = 12;

// One image of a data set as PNG, at most kPictureSide pixels a side.
std::string picture(const data::Dataset& d, int64_t position) {
  const int64_t h = d.images.size(1), w = d.images.size(2), c = d.images.size(3);
  data::Image image{h, w, c, std::vector<uint8_t>(static_cast<size_t>(h * w * c))};
  for (int64_t i = 0; i < h * w * c; ++i) {
    const int64_t at = position * h * w * c + i;
    image.pixels[i] = d.images.dtype() == DType::u8
                          ? d.images.data<uint8_t>()[at]
                          : static_cast<uint8_t>(std::lround(255 * std::clamp(d.images.data<float>()[at], 0.0f, 1.0f)));
  }
  const double scale = static_cast<double>(kPictureSide) / static_cast<double>(std::max(h, w));
  if (scale < 1)
    image = data::resize(image, std::max<int64_t>(1, std::lround(static_cast<double>(h) * scale)),
                         std::max<int64_t>(1, std::lround(static_cast<double>(w) * scale)));
  return data::encode_png(image);
}

std::vector<Picture> pictures(const Plan& plan, const data::Benchmark& benchmark, const std::vector<Result>& results) {
  std::vector<Picture> all;
  std::set<std::string> targets;
  const auto add = [&](const data::Dataset& d, const std::string& domain, int64_t position) {
    if (position < d.size())
      all.push_back({picture(d, position), domain, position, d.labels.data<int64_t>()[position]});
  };
  const auto test = [&](const std::string& domain) {
    return limited(benchmark.load(domain, data::Part::test, plan.data_seed), plan.limit);
  };
  const data::Dataset source = test(results.front().source);
  const int64_t count = std::min(kSourcePictures, source.size());
  for (int64_t i = 0; i < count; ++i) add(source, results.front().source, (2 * i + 1) * source.size() / (2 * count));
  for (const Result& r : results) {
    if (r.samples.empty() || !targets.insert(r.target).second) continue;  // the same positions for every method
    const data::Dataset target = test(r.target);
    for (const Sample& s : r.samples) add(target, r.target, s.position);
  }
  return all;
}

std::string today() {
  char text[64];
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M", &local);
  return text;
}

}  // namespace

std::string command_line() {
  std::ifstream in("/proc/self/cmdline", std::ios::binary);
  std::string command;
  for (std::string word; std::getline(in, word, '\0');) {
    if (command.empty()) word = "holt";
    const bool plain = !word.empty() && word.find_first_not_of(
                                            "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                            "0123456789-_=+.,:/%@") == std::string::npos;
    std::string quoted = "'";
    for (const char ch : word) quoted += ch == '\'' ? std::string("'\\''") : std::string(1, ch);
    command += (command.empty() ? "" : " ") + (plain ? word : quoted + "'");
  }
  return command;
}

void write_study(const Plan& plan, const data::Benchmark& benchmark, const Outcome& outcome,
                 const std::string& command) {
  Table table = tabulate(outcome.results);
  if (plan.data == "glyphs" && plan.selection == Selection::none)
    table.notes.push_back(
        "The β and τ of holt and the learning rate are the recipe's, chosen on Breip, Kristi and Dancing Script.");
  const std::string& out = plan.out;
  write_atomically(out + "/summary.csv", summary_csv(table));
  write_atomically(out + "/jobs.csv", jobs_csv(outcome.results));
  write_atomically(out + "/summary.json", json_text(summary_json(table), 2) + "\n");
  write_atomically(out + "/table.md", markdown_table(table));
  write_atomically(out + "/report.html", render_report({.results = outcome.results,
                                                        .pictures = pictures(plan, benchmark, outcome.results),
                                                        .command = command,
                                                        .date = today(),
                                                        .notes = table.notes}));
  std::printf("%s\n", terminal_table(table, {.bold = isatty(STDOUT_FILENO) != 0}).c_str());
  std::printf("results: %s/{results.jsonl,summary.csv,jobs.csv,summary.json,table.md}\nreport:  %s/report.html\n",
              out.c_str(), out.c_str());
}

}  // namespace holt::app
