// A study of the tiny benchmark in a folder of its own.
#pragma once
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "kernels/file.h"
#include "tests/harness/expect_error.h"
#include "tests/harness/json.h"
#include "tests/harness/tiny_transfer.h"
#include "transfer/runner.h"

namespace holt::transfer {

namespace fs = std::filesystem;
using Json = nlohmann::json;

class RunnerTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / format("holt_runner_test.{}", getpid());
    fs::remove_all(folder_);
    fs::create_directories(folder_ / "out");
  }
  void TearDown() override { fs::remove_all(folder_); }

  // Two targets, four methods, one seed: eight jobs.
  Plan plan(const std::string& out = "out") {
    fs::create_directories(folder_ / out);
    Plan p;
    p.data = "tiny";
    p.out = (folder_ / out).string();
    p.cache = (folder_ / "cache").string();
    p.methods = {"source", "sgd", "frozen-classifier+lolsgd+distill", "holt"};
    p.training = {.model = "resnet8:stem_stride=2", .epochs = 2, .batch = 24, .lr = 0.05};
    p.options = test::tiny_options();
    return p;
  }
  Outcome run(const Plan& p, RunEvents events = {}) {
    const auto say = events.say;
    events.say = [&, say](const std::string& line) {
      said_ += line + "\n";
      if (say) say(line);
    };
    return transfer::run(p, benchmark_, events);
  }
  fs::path results(const std::string& out = "out") const { return folder_ / out / "results.jsonl"; }
  std::vector<std::string> lines(const std::string& out = "out") const {
    std::ifstream in(results(out));
    std::vector<std::string> all;
    for (std::string line; std::getline(in, line);) all.push_back(line);
    return all;
  }

  test::TinyBenchmark benchmark_;
  fs::path folder_;
  std::string said_;

 private:
  const ThreadLimit one_{1};
};

// All that a result says but what it cost.
inline Json content(const Result& r) {
  Json j = r;
  for (const char* cost : {"seconds", "selection_seconds", "peak_bytes"}) j.erase(cost);
  return j;
}
inline std::vector<Json> content(const Outcome& o) {
  std::vector<Json> all;
  for (const Result& r : o.results) all.push_back(content(r));
  return all;
}

}  // namespace holt::transfer
