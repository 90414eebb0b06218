// `holt transfer` as a person uses it: killed, interrupted, locked, mistyped; and on the emulated GPU.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>

#include "kernels/error.h"
#include "tests/harness/json.h"
#include "tests/harness/program.h"

namespace holt {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using test::Arguments, test::Process, test::Result, test::kProgram, test::operator+;

class TransferCliTest : public testing::Test {
 protected:
  // A source model that knows something, trained once on the cpu.
  static void SetUpTestSuite() {
    setenv("OMP_NUM_THREADS", "1", 1);  // other tests run beside this one
    folder_ = fs::temp_directory_path() / format("holt_transfer_cli_test.{}", getpid());
    fs::create_directories(folder_);
    const Result r = Process({"transfer", "--plain", "--limit", "16", "--source-epochs", "3", "--methods", "source",
                              "--target", "Breip", "--cache", (folder_ / "cache").string(), "--out", out("source")},
                             kProgram)
                         .finish();
    ASSERT_EQ(r.code, 0) << r.out << r.err;
    source_model_ = fs::directory_iterator(folder_ / "cache")->path().string();
  }
  static void TearDownTestSuite() { fs::remove_all(folder_); }

  static std::string out(const std::string& name) { return (folder_ / name).string(); }
  static Arguments transfer(const std::string& name, const Arguments& more) {
    return Arguments{"transfer", "--plain", "--source-model", source_model_, "--limit", "2", "--out", out(name)} + more;
  }
  static Result run(const std::string& name, const Arguments& more) {
    return Process(transfer(name, more), kProgram).finish();
  }
  // By job: all that it says but its cost.
  static std::map<std::string, Json> results(const std::string& name) {
    std::map<std::string, Json> all;
    std::ifstream in(folder_ / name / "results.jsonl");
    for (std::string line; std::getline(in, line);) {
      Json j = parse_json(line);
      for (const char* cost : {"seconds", "selection_seconds", "peak_bytes"}) j.erase(cost);
      all[j.at("id")] = j;
    }
    return all;
  }

  static inline fs::path folder_;
  static inline std::string source_model_;
};

const Arguments kStudy = {"--target", "Breip,Kristi",    "--methods", "source,sgd,lolsgd,frozen-bn,holt",
                          "--set",    "steps=12",        "--set",     "batch=16",
                          "--set",    "lolsgd.rounds=3", "--set",     "lolsgd.local-steps=2",
                          "--set",    "align.steps=6",   "--workers", "2"};

TEST_F(TransferCliTest, KilledAndContinuedIsTheSame) {
  ASSERT_EQ(run("whole", kStudy).code, 0);
  const auto whole = results("whole");
  ASSERT_EQ(whole.size(), 10u);
  for (const char* moment : {"source model:", " 1/10", " 4/10", " 9/10"}) {
    const std::string name = format("killed{}", std::string(moment).substr(1, 1));
    {
      Process p(transfer(name, kStudy), kProgram);
      EXPECT_TRUE(p.wait_for(moment));
      p.send(SIGKILL);
      EXPECT_EQ(p.finish().code, 128 + SIGKILL);
    }
    EXPECT_LT(results(name).size(), 10u) << moment;
    const Result again = run(name, kStudy);
    EXPECT_EQ(again.code, 0) << again.err;
    EXPECT_EQ(results(name), whole) << moment;
  }
}

TEST_F(TransferCliTest, CtrlCLeavesWhatContinues) {
  Process p(transfer("interrupted", kStudy), kProgram);
  ASSERT_TRUE(p.wait_for(" 2/10"));
  p.send(SIGINT);
  const Result r = p.finish();
  EXPECT_EQ(r.code, 128 + SIGINT) << r.err;
  EXPECT_NE(r.out.find("the same command goes on from there"), std::string::npos) << r.out;
  EXPECT_GE(results("interrupted").size(), 2u);
  for (const auto& [id, j] : results("interrupted")) EXPECT_FALSE(j.contains("error")) << json_text(j.at("error"));
  EXPECT_EQ(run("interrupted", kStudy).code, 0);
  EXPECT_EQ(results("interrupted").size(), 10u);
}

TEST_F(TransferCliTest, CtrlCWhileTheSourceModelTrains) {
  Process p({"transfer", "--plain", "--limit", "16", "--source-epochs", "500", "--target", "Breip", "--methods",
             "source", "--out", out("early"), "--cache", out("early-cache")},
            kProgram);
  ASSERT_TRUE(p.wait_for("epoch"));
  p.send(SIGINT);
  const Result r = p.finish();
  EXPECT_EQ(r.code, 128 + SIGINT) << r.out << r.err;
  EXPECT_EQ(r.err.find("holt: "), std::string::npos) << r.err;  // no error: it was asked to stop
}

TEST_F(TransferCliTest, TwoRunsInOneFolder) {
  Process first(transfer("locked", kStudy), kProgram);
  ASSERT_TRUE(first.wait_for("source model:"));
  const Result second = run("locked", kStudy);
  EXPECT_EQ(second.code, 1);
  EXPECT_NE(second.err.find("another process works in " + out("locked")), std::string::npos) << second.err;
  EXPECT_EQ(first.finish().code, 0);
  EXPECT_EQ(results("locked").size(), 10u);
}

TEST_F(TransferCliTest, SimtIsCpuWithinRounding) {
  const Arguments tiny = {"--target",  "Breip",
                          "--methods", "sgd,holt,frozen-classifier+lolsgd+distill+rank",
                          "--limit",   "1",
                          "--set",     "steps=2",
                          "--set",     "batch=8",
                          "--set",     "lolsgd.rounds=1",
                          "--set",     "lolsgd.local-steps=2",
                          "--set",     "lolsgd.locals=2",
                          "--set",     "align.steps=2"};
  const Result cpu = run("cpu", tiny), simt = run("simt", tiny + Arguments{"--device", "simt"});
  ASSERT_EQ(cpu.code, 0) << cpu.err;
  ASSERT_EQ(simt.code, 0) << simt.err;
  std::map<std::string, Json> mine, theirs;
  for (const auto& [id, j] : results("cpu")) mine[j.at("method")] = j;
  for (const auto& [id, j] : results("simt")) theirs[j.at("method")] = j;
  ASSERT_EQ(mine.size(), 3u);
  ASSERT_EQ(theirs.size(), 3u);
  for (const auto& [method, a] : mine) {
    const Json& b = theirs.at(method);
    EXPECT_EQ(b.at("device"), "simt");
    ASSERT_EQ(a.at("loss").size(), 2u) << method;
    ASSERT_EQ(b.at("loss").size(), 2u) << method;
    for (size_t t = 0; t < 2; ++t) {
      const double x = a.at("loss")[t], y = b.at("loss")[t];
      EXPECT_NEAR(x, y, 1e-3 * std::abs(x)) << method << " step " << t;
    }
    ASSERT_EQ(a.at("calibrated").contains("alg"), method != "holt");  // a gate leaves no gap to average
    if (method != "holt") {
      const double g = a.at("calibrated").at("alg").at("gamma"), h = b.at("calibrated").at("alg").at("gamma");
      EXPECT_NEAR(g, h, 5e-3 * (1 + std::abs(g))) << method;
    }
    // Rounding may tip an image that stood between two classes: at most one of 62.
    EXPECT_NEAR(a.at("plain").at("overall").get<double>(), b.at("plain").at("overall").get<double>(), 1.01 / 62)
        << method;
  }
}

TEST_F(TransferCliTest, AFailedJobIsTheExitCode) {
  const Arguments study = {"--target", "Breip", "--methods", "source,sgd", "--set", "sgd:lr=1e12", "--set", "steps=5"};
  const Result r = run("failed", study);
  EXPECT_EQ(r.code, 1);
  EXPECT_NE((r.out + r.err).find("Breip · sgd · seed 0 failed: the loss is"), std::string::npos) << r.out << r.err;
  EXPECT_EQ(results("failed").size(), 2u);
}

TEST_F(TransferCliTest, BadInput) {
  const std::pair<Arguments, std::string> wrong[] = {
      {{"--target", "Bripe"}, "glyphs has no domain 'Bripe'; did you mean 'Breip'?"},
      {{"--target", "fonts"}, "fonts is the source and cannot be the target"},
      {{"--split", "random:62"}, "at least one must be seen and one missing"},
      {{"--split", "random:0"}, "no number of classes"},
      {{"--split", "classes:aa"}, "names the class 'aa'"},
      {{"--split", "thirds"}, "'thirds' is unknown; known are random"},
      {{"--methods", "lol-sgd"}, "did you mean 'lolsgd'?"},
      {{"--methods", "sgd+lolsgd"}, "only one of its parts can train"},
      {{"--methods", "sgd", "--set", "steps=0"}, "option steps: 0 is outside"},
      {{"--methods", "sgd", "--set", "momentum=1"}, "option momentum: 1 is outside"},
      {{"--methods", "sgd", "--set", "holt:lr=1"}, "this run has no method 'holt'"},
      {{"--seeds", "x"}, "--seeds"},
      {{"--seeds", "0"}, "--seeds must be 1"},
      {{"--calibrate", "gap"}, "'gap'"},
      {{"--source-model", "/nowhere.safetensors"}, "/nowhere.safetensors"},
  };
  for (const auto& [arguments, says] : wrong) {
    const Result r = run("bad", arguments);
    EXPECT_NE(r.code, 0) << says;
    EXPECT_NE(r.err.find(says), std::string::npos) << says << "\n" << r.err;
    EXPECT_FALSE(fs::exists(folder_ / "bad")) << says;  // no empty folder is left
  }
}

TEST_F(TransferCliTest, ACorruptResultsFile) {
  const Arguments study = {"--target", "Breip", "--methods", "source"};
  ASSERT_EQ(run("corrupt", study).code, 0);
  const fs::path file = folder_ / "corrupt" / "results.jsonl";
  std::string text;
  {
    std::ifstream in(file);
    std::getline(in, text);
  }
  std::ofstream(file) << "{}\n" << text << "\n";
  const Result r = run("corrupt", study);
  EXPECT_EQ(r.code, 1);
  EXPECT_NE(r.err.find("results.jsonl: line 1 is no result of holt"), std::string::npos) << r.err;
  std::ofstream(file) << text << "\n" << text.substr(0, 50);
  const Result cut = run("corrupt", study);
  EXPECT_EQ(cut.code, 0) << cut.err;
  EXPECT_NE(cut.out.find("was cut off"), std::string::npos) << cut.out;
}

}  // namespace
}  // namespace holt
