// report.html: one self-contained file that a browser draws without a complaint, in both colour schemes and on a phone.
//
// The browser is a headless Chromium; without one those tests are skipped. HOLT_REPORT_TEST_OUT=DIR keeps the pages and
// takes screenshots to look at.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>

#include "tests/harness/json.h"
#include "tests/harness/made_results.h"
#include "tests/harness/process.h"
#include "transfer/report/parts.h"

namespace holt::transfer {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

const std::string kNasty = "</script><b>";

std::vector<std::string> characters() {
  std::vector<std::string> list;
  for (const auto& [first, last] : {std::pair{'0', '9'}, {'A', 'Z'}, {'a', 'z'}})
    for (char c = first; c <= last; ++c) list.emplace_back(1, c);
  return list;
}

ReportInput small_study() {
  const std::vector<test::MadeMethod> all = test::made_methods();
  ReportInput input = test::made_study({all[0], all[4], all[19]}, {"Breip", "Kristi & \"Co\""}, 2,
                                       {kNasty, "a", "b", "c", "d", "e", "f", "g"}, 10);
  Result broken = input.results.back();
  broken.method = "lolsgd";
  broken.error = "the loss is NaN at step 3 <layer stem>";
  input.results.push_back(broken);
  return input;
}

std::string between(const std::string& text, const std::string& begin, const std::string& end) {
  const size_t from = text.find(begin);
  if (from == std::string::npos) return "";
  return text.substr(from + begin.size(), text.find(end, from + begin.size()) - from - begin.size());
}

size_t count_of(const std::string& text, const std::string& what) {
  size_t n = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++n;
  return n;
}

Json data_of(const std::string& page) {
  return parse_json(between(page, "<script type=\"application/json\" id=\"data\">", "</script>"));
}

TEST(Report, IsOneFileThatNeedsNothingElse) {
  const std::string page = render_report(small_study());
  EXPECT_EQ(count_of(page, "http://") + count_of(page, "https://"), 0u);
  EXPECT_EQ(count_of(page, "<link") + count_of(page, "@import") + count_of(page, "url("), 0u + count_of(page, "url(#"));
  for (size_t at = page.find("src="); at != std::string::npos; at = page.find("src=", at + 1))
    EXPECT_EQ(page.substr(at + 4, 10), "\"${picture") << "a script's template for a data: URI";
  EXPECT_EQ(count_of(page, "{{"), 0u) << "a place that was not filled";
  EXPECT_NE(page.find("default-src 'none'"), std::string::npos);
}

TEST(Report, TextsFromOutsideAreEscaped) {
  ReportInput input = small_study();
  input.command = "holt transfer --target '<i>'";
  input.notes = {"a note with <em>"};
  const std::string page = render_report(input);
  EXPECT_EQ(count_of(page, "</script>"), 2u) << "the data's and the scripts'";
  for (const char* raw : {"<i>'", "<em>", "<layer stem>", "<b>\""}) EXPECT_EQ(count_of(page, raw), 0u) << raw;
  EXPECT_NE(page.find("a note with &lt;em&gt;"), std::string::npos);
  EXPECT_NE(page.find("NaN at step 3 &lt;layer stem&gt;"), std::string::npos);
  EXPECT_EQ(data_of(page)["classes"][0], kNasty);
}

TEST(Report, TheDataAreThoseOfTheResults) {
  const ReportInput input = small_study();
  const Json data = data_of(render_report(input));
  EXPECT_EQ(data["rows"].size(), 4u);
  EXPECT_EQ(data["jobs"].size(), 12u) << "without the failed one";
  EXPECT_EQ(data["tasks"], Json({"Breip", "Kristi & \"Co\""}));
  EXPECT_EQ(data["splits"].size(), 4u) << "one for each target and seed, whatever the method";
  const Result& r = input.results[1];
  const Json& job = data["jobs"][1];
  EXPECT_EQ(data["rows"][job["m"].get<size_t>()]["name"], "sgd");
  EXPECT_NEAR(job["a"][0].get<double>() / 1e8, r.plain.overall, 1e-8);
  EXPECT_EQ(job["k"], Json(r.class_correct));
  EXPECT_EQ(job["v"].size(), 2 * r.curve.size());
  int64_t images = 0;
  for (size_t i = 1; i < job["x"].size(); i += 2) images += job["x"][i].get<int64_t>();
  EXPECT_EQ(images, 80);
  EXPECT_EQ(data["pictures"].size(), input.pictures.size());
  EXPECT_TRUE(data["pictures"][0]["u"].get<std::string>().starts_with("data:image/png;base64,iVBORw0KGgo"));
}

TEST(Report, Base64) {
  for (const auto& [bytes, text] : std::vector<std::pair<std::string, std::string>>{
           {"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foobar", "Zm9vYmFy"}, {"\xff\xfe\xfd", "//79"}})
    EXPECT_EQ(report::base64(bytes), text);  // RFC 4648, section 10
}

TEST(Report, FamiliesAndDescriptions) {
  EXPECT_EQ(report::family("source"), "reference");
  EXPECT_EQ(report::family("sgd"), "baseline");
  EXPECT_EQ(report::family("local-sgd"), "control");
  EXPECT_EQ(report::family("frozen-classifier+lolsgd"), "paper");
  EXPECT_EQ(report::family("lolsgd+gate"), "ours");
  EXPECT_FALSE(report::describe("holt").empty());
  EXPECT_NE(report::describe("frozen-classifier+lolsgd").find("; "), std::string::npos);
}

TEST(Report, BadInput) {
  EXPECT_THROW(render_report({}), Error);
  ReportInput input = small_study();
  input.results[1].classes.pop_back();
  EXPECT_THROW(render_report(input), Error);
  input = small_study();
  input.results[0].confusion.push_back({0, 8, 1});
  EXPECT_THROW(render_report(input), Error);
  input = small_study();
  input.pictures[0].label = -1;
  EXPECT_THROW(render_report(input), Error);
}

// --- In a browser.

std::string browser() {
  std::istringstream path(getenv("PATH") ? getenv("PATH") : "");
  for (std::string folder; std::getline(path, folder, ':');)
    for (const char* name : {"chromium", "chromium-browser", "google-chrome"})
      if (access((folder + "/" + name).c_str(), X_OK) == 0) return folder + "/" + name;
  return "";
}

// tests/harness/inspect_page.js, to stand before the page's own scripts.
std::string inspector() {
  std::ifstream in(HOLT_SOURCE_DIR "/tests/harness/inspect_page.js");
  EXPECT_TRUE(in);
  return "<script>" + std::string(std::istreambuf_iterator<char>(in), {}) + "</script>";
}

std::string unescaped(std::string text) {
  for (const auto& [from, to] :
       {std::pair{"&quot;", "\""}, {"&lt;", "<"}, {"&gt;", ">"}, {"&nbsp;", " "}, {"&amp;", "&"}})
    for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; ++at) text.replace(at, strlen(from), to);
  return text;
}

class Browser : public testing::Test {
 protected:
  void SetUp() override {
    if (browser().empty()) GTEST_SKIP() << "no Chromium on PATH";
    const char* keep = getenv("HOLT_REPORT_TEST_OUT");
    kept_ = keep != nullptr;
    folder_ = kept_ ? fs::path(keep) : fs::temp_directory_path() / format("holt_report_test.{}", getpid());
    fs::create_directories(folder_);
  }
  void TearDown() override {
    if (!kept_ && !folder_.empty()) fs::remove_all(folder_);
  }

  test::Result open(const fs::path& page, std::vector<std::string> arguments) {
    std::vector<std::string> all = {"--headless=new",
                                    "--no-sandbox",
                                    "--disable-gpu",
                                    "--disable-dev-shm-usage",
                                    "--hide-scrollbars",
                                    "--no-first-run",
                                    "--virtual-time-budget=10000",
                                    "--user-data-dir=" + (folder_ / "profile").string()};
    all.insert(all.end(), arguments.begin(), arguments.end());
    all.push_back("file://" + page.string());
    return test::Process(all, browser()).finish();
  }

  // What the inspector found in this page at this width. A window has a least width: narrower pages stand in a frame.
  Json inspect(const std::string& name, std::string page, int64_t width, bool dark) {
    const fs::path plain = folder_ / (name + ".html"), inspected = folder_ / (name + ".inspected.html");
    std::ofstream(plain) << page;
    page.insert(page.find("<meta charset"), inspector());
    std::ofstream(inspected) << page;
    const std::string scheme = format("--blink-settings=preferredColorScheme={}", dark ? 0 : 1);
    const test::Result r = open(framed(inspected, width, 900), {"--dump-dom", "--window-size=1200,900", scheme});
    EXPECT_EQ(r.code, 0) << r.err;
    if (kept_) {
      const std::string picture = format("{}-{}{}.png", name, width, dark ? "-dark" : "");
      const int64_t height = width < 600 ? 11000 : 6600;
      open(framed(plain, width, height),
           {format("--screenshot={}", (folder_ / picture).string()),
            format("--window-size={},{}", std::max<int64_t>(width, 500), height), scheme});
    }
    const std::string found = between(r.out, "data-found=\"", "\"");
    EXPECT_FALSE(found.empty()) << "the page was not read to its end: " << r.err.substr(0, 1000);
    return found.empty() ? Json() : parse_json(unescaped(found));
  }

  fs::path framed(const fs::path& page, int64_t width, int64_t height) const {
    const fs::path path = folder_ / "frame.html";
    std::ofstream(path) << format(
        "<!DOCTYPE html><html><meta name=\"color-scheme\" content=\"light dark\"><body style=\"margin:0\">"
        "<iframe style=\"border:0;width:{}px;height:{}px\" src=\"{}\"></iframe>"
        "<script>addEventListener('message', e => document.documentElement.dataset.found = e.data)</script>",
        width, height, page.filename().string());
    return path;
  }

  static void expect_sound(const Json& found, int64_t width, bool dark) {
    ASSERT_FALSE(found.is_null());
    ASSERT_EQ(found["faults"], Json::array());
    EXPECT_EQ(found["width"], width);
    EXPECT_EQ(found["dark"], dark);
    EXPECT_EQ(found["paper"], dark ? "rgb(21, 23, 26)" : "rgb(255, 255, 255)");
    EXPECT_EQ(found["overflow"], 0) << found["widest"];
    EXPECT_EQ(found["unlabelled"], 0);
    EXPECT_EQ(found["broken"], 0) << "attributes with NaN in them";
    EXPECT_EQ(found["chosenByKey"], true);
    for (const char* id :
         {"plane-chart", "classes-seen", "classes-unseen", "flow-chart", "confusion-chart", "loss-chart",
          "forgetting-chart", "samples-source", "samples-target", "cost-chart", "results"})
      EXPECT_GT(found["drawn"].value(id, 0), 0) << id;
    const auto sorted = found["sorted"].get<std::vector<double>>();
    EXPECT_TRUE(std::is_sorted(sorted.rbegin(), sorted.rend()));
  }

  fs::path folder_;
  bool kept_ = false;
};

TEST_F(Browser, ASmallStudyWithNastyNames) {
  const ReportInput input = small_study();
  const std::string page = render_report(input);
  const Json found = inspect("small", page, 1200, false);
  expect_sound(found, 1200, false);
  EXPECT_EQ(found["points"], 3) << "the failed method has no place in the plane";
  EXPECT_NE(found["classes"].get<std::string>().find(kNasty), std::string::npos) << "drawn as it is written";
  const Table table = tabulate(input.results);
  EXPECT_EQ(found["overall"], percent(table.best()->overall.mean)) << "the page's mean is the table's";
  const std::string hover = found["hover"].get<std::string>();  // "a → b: 3 of 20 images"
  int right = -1, all = -1;
  const size_t colon = hover.rfind(": ");
  ASSERT_TRUE(colon != std::string::npos && hover.find(" → ") < colon && hover.ends_with(" images")) << hover;
  EXPECT_EQ(std::sscanf(hover.c_str() + colon, ": %d of %d images", &right, &all), 2) << hover;
}

TEST_F(Browser, AWholeBenchmark) {
  const std::string page =
      render_report(test::made_study(test::made_methods(),
                                     {"Bajaderka", "Breip", "Dancing Script", "dkg", "Domestic Manners", "Havana",
                                      "Kaushan Script", "Kristi", "Rufscript", "Delphine"},
                                     1, characters(), 10));
  EXPECT_LT(page.size(), 6'000'000u);
  const Json found = inspect("glyphs", page, 1200, false);
  expect_sound(found, 1200, false);
  EXPECT_EQ(found["points"], 21);
  EXPECT_EQ(found["drawn"]["cost-chart"], 21);
}

TEST_F(Browser, DarkAndOnAPhone) {
  const std::string page =
      render_report(test::made_study(test::made_methods(), {"Breip", "Domestic Manners"}, 1, characters(), 10));
  expect_sound(inspect("two", page, 1200, true), 1200, true);
  expect_sound(inspect("two", page, 390, false), 390, false);
}

}  // namespace
}  // namespace holt::transfer
