// The table: aggregates against numbers worked out by hand, and every writer.
#include <gtest/gtest.h>

#include "kernels/error.h"
#include "tests/harness/expect_text.h"
#include "tests/harness/json.h"
#include "transfer/table_text.h"

namespace holt::transfer {
namespace {

Result job(const std::string& method, const std::string& target, uint64_t seed, double overall, double seen = 0.9,
           double unseen = 0.5) {
  Result r;
  r.id = format("{}/{}/{}", method, target, seed);
  r.data = "toy";
  r.source = "here";
  r.target = target;
  r.method = method;
  r.classes = {"a", "b", "c"};
  r.seed = seed;
  r.split = {"classes:a", {0}};
  r.plain = {.gamma = 0, .overall = overall, .seen = seen, .unseen = unseen, .hmean = 0.6};
  r.ausuc = 0.7;
  r.seconds = 2;
  return r;
}

Result failed(const std::string& method, const std::string& target, uint64_t seed, const std::string& error) {
  Result r = job(method, target, seed, 0);
  r.error = error;
  return r;
}

// Two targets, two seeds.
std::vector<Result> four(const std::string& method, double a0, double a1, double b0, double b1) {
  return {job(method, "A", 0, a0), job(method, "A", 1, a1), job(method, "B", 0, b0), job(method, "B", 1, b1)};
}

std::vector<Result> operator+(std::vector<Result> a, const std::vector<Result>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

const Cell& cell(const Table& table, const std::string& method, const std::string& key) {
  static Grid g;
  g = grid(table);
  for (size_t r = 0; r < table.rows.size(); ++r)
    for (size_t c = 0; c < g.columns.size(); ++c)
      if (table.rows[r].method == method && g.columns[c].key == key) return g.cells[r][c];
  throw std::runtime_error("no cell " + method + "/" + key);
}

std::string everything(const Table& table) {
  return terminal_table(table) + markdown_table(table) + summary_csv(table) + json_text(summary_json(table));
}

TEST(Table, AggregatesByHand) {
  // lolsgd − sgd: target A +0.10 and +0.20 → +0.15, won; target B −0.02 and +0.00 → −0.01, lost. Mean +0.07.
  const Table t = tabulate(four("lolsgd", 0.60, 0.80, 0.48, 0.40) + four("sgd", 0.50, 0.60, 0.50, 0.40));
  ASSERT_EQ(t.rows.size(), 2u);
  EXPECT_EQ(t.rows[0].method, "sgd") << "standard order, not the order of arrival";
  const TableRow& lol = *t.find("lolsgd");
  EXPECT_EQ(lol.jobs, 4);
  EXPECT_NEAR(lol.overall.mean, 0.57, 1e-12);
  // Seeds: (0.60 + 0.48) / 2 = 0.54 and (0.80 + 0.40) / 2 = 0.60; deviation 0.06 / √2.
  EXPECT_NEAR(lol.overall.deviation().value(), 0.06 / std::sqrt(2.0), 1e-12);
  // Targets: 0.70 and 0.44; deviation 0.26 / √2.
  EXPECT_NEAR(lol.overall.tasks.std, 0.26 / std::sqrt(2.0), 1e-12);
  ASSERT_TRUE(lol.against_sgd);
  EXPECT_NEAR(lol.against_sgd->difference.mean, 0.07, 1e-12);
  EXPECT_EQ(lol.against_sgd->won, 1);
  EXPECT_EQ(lol.against_sgd->lost, 1);
  EXPECT_FALSE(t.find("sgd")->against_sgd);
  EXPECT_EQ(cell(t, "lolsgd", "overall").text, "57.0");
  EXPECT_EQ(cell(t, "lolsgd", "overall").more, "±4.2");
  EXPECT_EQ(cell(t, "lolsgd", "vs sgd").text, "+7.0");
  EXPECT_EQ(cell(t, "lolsgd", "vs sgd").more, "1/2");
  EXPECT_EQ(t.best(), t.find("lolsgd"));
}

TEST(Table, OneSeedHasNoDeviation) {
  const Table t = tabulate({job("sgd", "A", 7, 0.5), job("sgd", "B", 7, 0.7)});
  EXPECT_FALSE(t.rows[0].overall.deviation());
  EXPECT_EQ(cell(t, "sgd", "overall").more, "");
  EXPECT_LACKS(everything(t), "±");
  EXPECT_HAS(terminal_table(t), "2 targets, one seed");
  EXPECT_TRUE(summary_json(t)["rows"][0]["overall"]["std"].is_null());
}

TEST(Table, AnUnfinishedSeedIsInTheMeanAndNotInTheDeviation) {
  // Target A: 0.5, 0.7; target B: 0.3 and nothing. Mean over targets (0.6 + 0.3) / 2; one complete seed: no deviation.
  const Table t = tabulate({job("sgd", "A", 0, 0.5), job("sgd", "A", 1, 0.7), job("sgd", "B", 0, 0.3),
                            failed("sgd", "B", 1, "the loss is NaN at step 3, layer stem")});
  const TableRow& row = t.rows.at(0);
  EXPECT_EQ(row.jobs, 3);
  EXPECT_EQ(row.failed, 1);
  EXPECT_NEAR(row.overall.mean, 0.45, 1e-12);
  EXPECT_FALSE(row.overall.deviation());
  for (const std::string& text : {terminal_table(t), markdown_table(t)}) {
    EXPECT_HAS(text, "1 job failed and is in no mean");
    EXPECT_HAS(text, "sgd on B, seed 1: the loss is NaN at step 3, layer stem");
  }
}

TEST(Table, AMethodThatOnlyFailedKeepsItsRow) {
  const Table t = tabulate({job("sgd", "A", 0, 0.5), failed("lolsgd", "A", 0, "out of memory")});
  ASSERT_TRUE(t.find("lolsgd"));
  EXPECT_FALSE(t.find("lolsgd")->competes());
  EXPECT_FALSE(t.find("lolsgd")->against_sgd);
  EXPECT_EQ(cell(t, "lolsgd", "overall").text, "–");
  EXPECT_EQ(t.best(), t.find("sgd"));
}

TEST(Table, WithoutSgdNothingIsCompared) {
  const Table t = tabulate(four("lolsgd", 0.6, 0.8, 0.4, 0.4));
  EXPECT_FALSE(t.rows[0].against_sgd);
  EXPECT_LACKS(terminal_table(t), "vs sgd");
}

TEST(Table, OnlyPairsAreCompared) {
  const Table t = tabulate({job("sgd", "A", 0, 0.5), job("lolsgd", "A", 0, 0.6), job("lolsgd", "B", 0, 0.1)});
  EXPECT_NEAR(t.find("lolsgd")->against_sgd->difference.mean, 0.1, 1e-12);
  EXPECT_EQ(t.find("lolsgd")->against_sgd->difference.n, 1);
}

TEST(Table, EqualIsNoWin) {
  const Table t = tabulate({job("sgd", "A", 0, 0.1 + 0.2), job("lolsgd", "A", 0, 0.3)});
  EXPECT_EQ(t.find("lolsgd")->against_sgd->won, 0);
  EXPECT_EQ(t.find("lolsgd")->against_sgd->tied, 1);
  EXPECT_EQ(cell(t, "lolsgd", "vs sgd").text, "0.0");
}

TEST(Table, TheBestAreMarkedTiesTooButNeitherSourceNorOracle) {
  const Table t = tabulate({job("source", "A", 0, 0.99), job("sgd", "A", 0, 0.7), job("lolsgd", "A", 0, 0.80002),
                            job("holt", "A", 0, 0.8), job("oracle", "A", 0, 0.97)});
  EXPECT_FALSE(cell(t, "source", "overall").best);
  EXPECT_FALSE(cell(t, "oracle", "overall").best);
  EXPECT_FALSE(cell(t, "sgd", "overall").best);
  EXPECT_TRUE(cell(t, "lolsgd", "overall").best);
  EXPECT_TRUE(cell(t, "holt", "overall").best) << "both are shown as 80.0";
  const std::string bold = terminal_table(t, {.bold = true});
  EXPECT_HAS(bold, "\033[1m80.0\033[0m");
  EXPECT_HAS(bold, "one seed. Bold: best but for source and oracle.");
  EXPECT_LACKS(bold, "*");
  EXPECT_HAS(markdown_table(t), "**80.0**");
  EXPECT_HAS(markdown_table(t), "one seed. Bold: best but for source and oracle.");
}

TEST(Table, WithoutBoldTheBestHaveAStar) {
  const Table t = tabulate(four("sgd", 0.5, 0.6, 0.5, 0.4) + four("lolsgd", 0.60, 0.80, 0.48, 0.40));
  const std::string text = terminal_table(t);
  EXPECT_EQ(text.substr(0, text.find("Hyper")), R"(method    overall  seen  unseen  hmean  AUSUC    vs sgd
───────────────────────────────────────────────────────
sgd     50.0 ±0.0 *90.0   *50.0  *60.0  *70.0         –
lolsgd *57.0 ±4.2 *90.0   *50.0  *60.0  *70.0 *+7.0 1/2
───────────────────────────────────────────────────────
)");
  EXPECT_HAS(terminal_table(t, {.width = 200}), "*: best but for source and oracle.");
  EXPECT_LACKS(text, "old");
  EXPECT_LACKS(text, "\033");
}

TEST(Table, ChosenOnTestAccuracyIsMarkedAndNeverBest) {
  std::vector<Result> results = {job("sgd", "A", 0, 0.7), job("sgd", "A", 0, 0.9)};
  results[1].selection = "oracle";
  const Table t = tabulate(results);
  ASSERT_EQ(t.rows.size(), 2u);
  EXPECT_EQ(row_name(t.rows[1]), "sgd †");
  EXPECT_EQ(t.best(), &t.rows[0]);
  EXPECT_TRUE(grid(t).cells[0][0].best);
  EXPECT_FALSE(grid(t).cells[1][0].best);
  for (const std::string& text : {terminal_table(t), markdown_table(t)}) {
    EXPECT_HAS(text, "--select none");
    EXPECT_HAS(text, "† chosen on test accuracy (--select oracle)");
  }
}

TEST(Table, CalibrationsHaveTheirColumns) {
  std::vector<Result> results = four("sgd", 0.5, 0.5, 0.5, 0.5) + four("lolsgd", 0.6, 0.6, 0.6, 0.6);
  for (size_t i = 0; i < 4; ++i) {
    results[i].calibrated["best"] = {.gamma = 1, .overall = 0.8};
    results[i].calibrated["alg"] = {.gamma = 1, .overall = i < 2 ? 0.7 : 0.75};
  }
  const Table t = tabulate(results);
  EXPECT_EQ(t.calibrations, (std::vector<std::string>{"alg", "best"}));
  EXPECT_EQ(cell(t, "sgd", "γ alg").text, "72.5");
  EXPECT_EQ(cell(t, "sgd", "γ best").text, "80.0");
  EXPECT_EQ(cell(t, "lolsgd", "γ alg").text, "–");
  EXPECT_HAS(terminal_table(t), "upper bound");
}

TEST(Table, AJobThatWasRepeatedCountsOnce) {
  const Table t = tabulate({failed("sgd", "A", 0, "killed"), job("sgd", "A", 0, 0.4), job("sgd", "A", 0, 0.5)});
  EXPECT_EQ(t.rows[0].jobs, 1);
  EXPECT_EQ(t.rows[0].failed, 0);
  EXPECT_NEAR(t.rows[0].overall.mean, 0.5, 1e-12);
  EXPECT_TRUE(t.failures.empty());
}

TEST(Table, SeveralSourcesAreSeveralTasks) {
  std::vector<Result> results = {job("sgd", "A", 0, 0.4), job("sgd", "A", 0, 0.6)};
  results[1].source = "there";
  const Table t = tabulate(results);
  EXPECT_EQ(t.tasks, (std::vector<std::string>{"here → A", "there → A"}));
  EXPECT_NEAR(t.rows[0].overall.mean, 0.5, 1e-12);
}

TEST(Table, NothingAndMixedData) {
  const Table none = tabulate({});
  EXPECT_TRUE(none.rows.empty());
  EXPECT_FALSE(none.best());
  EXPECT_FALSE(everything(none).empty());
  std::vector<Result> mixed = {job("sgd", "A", 0, 0.4), job("sgd", "A", 0, 0.6)};
  mixed[1].data = "other";
  EXPECT_THROW(tabulate(mixed), Error);
}

TEST(Table, TheTerminalsTableFitsItsWidth) {
  std::vector<Result> results = four("frozen-classifier+lolsgd+distill+rank", 0.6, 0.8, 0.48, 0.4) +
                                four("sgd", 0.5, 0.6, 0.5, 0.4) + four("source", 0.5, 0.6, 0.5, 0.4);
  for (Result& r : results) {
    for (const char* name : {"alg", "pcv", "best"}) r.calibrated[name] = {.gamma = 1, .overall = 0.5};
    r.seconds = 1234;
  }
  results.push_back(failed("lolsgd", "A", 0,
                           "a message that is so long that it must be broken over lines, because a "
                           "terminal has only so many columns"));
  const std::string text = terminal_table(tabulate(results));
  EXPECT_HAS(text, "\n  +distill+rank\n");
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);)
    EXPECT_LE(std::count_if(line.begin(), line.end(), [](char c) { return (c & 0xC0) != 0x80; }), 100) << line;
}

TEST(Table, NumbersAsTheyAreShown) {
  EXPECT_EQ(percent(0.7649), "76.5");
  EXPECT_EQ(percent(1), "100.0");
  EXPECT_EQ(signed_percent(0.0601), "+6.0");
  EXPECT_EQ(signed_percent(-0.003), "−0.3");
  EXPECT_EQ(signed_percent(-0.0001), "0.0");
}

// A field of a CSV line, quotes taken away.
std::vector<std::string> fields_of(const std::string& csv, size_t wanted) {
  std::vector<std::vector<std::string>> lines = {{""}};
  bool in_quotes = false;
  for (size_t i = 0; i < csv.size(); ++i) {
    const char c = csv[i];
    if (c == '"' && in_quotes && csv[i + 1] == '"')
      lines.back().back() += csv[i++];
    else if (c == '"')
      in_quotes = !in_quotes;
    else if (c == ',' && !in_quotes)
      lines.back().emplace_back();
    else if (c == '\n' && !in_quotes)
      lines.push_back({""});
    else if (c != '\r' || in_quotes)
      lines.back().back() += c;
  }
  return lines.at(wanted);
}

TEST(Table, CsvOfJobsAndOfTheSummary) {
  std::vector<Result> results = four("sgd", 0.25, 0.6, 0.5, 0.4) + four("lolsgd", 0.6, 0.8, 0.48, 0.4);
  results[0].calibrated["pcv"] = {.gamma = -1.5, .overall = 0.75};
  results.push_back(failed("holt", "a, \"b\"", 0, "first line\nsecond"));
  const std::string jobs = jobs_csv(results);
  const std::vector<std::string> head = fields_of(jobs, 0), first = fields_of(jobs, 1), last = fields_of(jobs, 9);
  const auto at = [&](const std::vector<std::string>& fields, const std::string& name) {
    return fields.at(static_cast<size_t>(std::find(head.begin(), head.end(), name) - head.begin()));
  };
  EXPECT_EQ(first.size(), head.size());
  EXPECT_EQ(last.size(), head.size());
  EXPECT_EQ(at(first, "overall"), "0.25");
  EXPECT_EQ(at(first, "pcv_gamma"), "-1.5");
  EXPECT_EQ(at(first, "alg_gamma"), "");
  EXPECT_EQ(at(last, "target"), "a, \"b\"");
  EXPECT_EQ(at(last, "overall"), "");
  EXPECT_EQ(at(last, "error"), "first line\nsecond");

  const std::string summary = summary_csv(tabulate(results));
  EXPECT_EQ(fields_of(summary, 0).size(), fields_of(summary, 1).size());
  EXPECT_EQ(fields_of(summary, 3).at(0), "holt");
  EXPECT_EQ(fields_of(summary, 3).at(4), "") << "a method without results has no mean";
}

TEST(Table, Json) {
  const auto j = summary_json(tabulate(four("lolsgd", 0.60, 0.80, 0.48, 0.40) + four("sgd", 0.50, 0.60, 0.50, 0.40)));
  EXPECT_EQ(j["data"], "toy");
  EXPECT_EQ(j["rows"][1]["method"], "lolsgd");
  EXPECT_NEAR(j["rows"][1]["vs_sgd"]["mean"].get<double>(), 0.07, 1e-12);
  EXPECT_EQ(j["rows"][1]["vs_sgd"]["targets"], 2);
  EXPECT_TRUE(j["rows"][0]["vs_sgd"].is_null());
}

TEST(Published, StandsBesideThePapersDataAlone) {
  EXPECT_TRUE(published_for("glyphs", {"text"}, {"Breip"}, 62).empty());
  EXPECT_TRUE(published_for("folder", {"Art"}, {"Clipart"}, 10).empty()) << "not Office-Home's 65 classes";
  EXPECT_TRUE(published_for("folder", {"a"}, {"b"}, 65).empty());
  const auto office = published_for("folder", {"Art"}, {"Clipart", "Real World"}, 65);
  ASSERT_EQ(office.size(), 3u);
  EXPECT_EQ(office[0].overall, 0.6083);
  EXPECT_EQ(office[1].overall, 0.7670);
  EXPECT_EQ(office[2].overall, 0.7201);
  EXPECT_EQ(published_for("femnist", {}, {}, 62).at(0).overall, 0.8747);
  EXPECT_EQ(published_for("iwildcam", {}, {}, 182).at(0).unseen, 0.2566);
  EXPECT_EQ(published_for("folder", {"clip"}, {"Caltech101"}, 102).at(0).overall, 0.828);

  Result r = job("sgd", "w1", 0, 0.8);
  r.data = "femnist";
  for (const std::string& text : {terminal_table(tabulate({r})), markdown_table(tabulate({r}))}) {
    EXPECT_HAS(text, "87.5");
    EXPECT_HAS(text, "LeNet");
    EXPECT_HAS(text, "not for comparison to the decimal");
  }
}

}  // namespace
}  // namespace holt::transfer
