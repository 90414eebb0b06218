// A whole study, tiny: what it leaves does not depend on the number of workers nor on how often it was killed, and what
// goes wrong in one job or one file harms no other.
#include <atomic>
#include <set>

#include "tests/harness/run_fixture.h"

namespace holt::transfer {
namespace {

TEST_F(RunnerTest, RunsEveryJobOfThePlan) {
  const Outcome o = run(plan());
  ASSERT_EQ(o.results.size(), 8u);
  EXPECT_EQ(o.done, 8);
  EXPECT_EQ(o.reused + o.failed, 0);
  EXPECT_GT(o.source_accuracy, 0.3);
  for (size_t i = 0; i < 8; ++i) {
    const Result& r = o.results[i];
    EXPECT_EQ(r.target, i < 4 ? "dim" : "moved");
    EXPECT_EQ(r.method, plan().methods[i % 4]);
    EXPECT_EQ(r.error, "");
    EXPECT_EQ(r.split.seen.size(), 3u);
    EXPECT_EQ(r.source_id, o.source_id);
    EXPECT_EQ(r.class_count, std::vector<int64_t>(6, 8));
    EXPECT_EQ(r.device, "cpu");
    EXPECT_NEAR(r.plain.overall, (r.plain.seen + r.plain.unseen) / 2, 1e-12);
    EXPECT_EQ(r.classes, benchmark_.classes());
  }
  EXPECT_EQ(lines().size(), 8u);
  for (const Result& r : read_results(results().string())) EXPECT_FALSE(r.commit.empty());
}

TEST_F(RunnerTest, WorkersChangeNothing) {
  Plan p = plan();
  const Outcome one = run(p);
  for (const int64_t workers : {2, 3, 20}) {
    Plan q = plan(format("out{}", workers));
    q.workers = workers;
    q.local_workers = workers == 3 ? 2 : 1;
    const Outcome more = run(q);
    EXPECT_EQ(content(more), content(one)) << workers;
    // What is read again is what was said.
    const Outcome again = run(q);
    EXPECT_EQ(again.reused, 8);
    EXPECT_EQ(again.done, 0);
    EXPECT_EQ(content(again), content(one));
  }
}

TEST_F(RunnerTest, AKilledRunContinues) {
  const Outcome whole = run(plan());
  const std::vector<std::string> all = lines();
  for (const size_t k : {0, 1, 4, 7}) {
    for (const bool cut : {false, true}) {
      const std::string out = format("cut{}{}", k, cut);
      Plan p = plan(out);
      p.workers = 2;
      {
        std::ofstream file(results(out), std::ios::binary);
        for (size_t i = 0; i < k; ++i) file << all[i] << '\n';
        if (cut) file << all[k].substr(0, all[k].size() / (k + 1));  // the last one: whole but for its newline
      }
      said_.clear();
      const Outcome o = run(p);
      EXPECT_EQ(o.reused, static_cast<int64_t>(k));
      EXPECT_EQ(o.done, static_cast<int64_t>(8 - k));
      EXPECT_EQ(content(o), content(whole)) << k << cut;
      EXPECT_EQ(said_.find("was cut off") != std::string::npos, cut);
      const std::vector<std::string> now = lines(out);
      ASSERT_EQ(now.size(), 8u);
      for (size_t i = 0; i < k; ++i) EXPECT_EQ(now[i], all[i]);  // nothing that was there is touched
    }
  }
}

TEST_F(RunnerTest, ForceRepeats) {
  run(plan());
  Plan p = plan();
  p.force = true;
  const Outcome o = run(p);
  EXPECT_EQ(o.done, 8);
  EXPECT_EQ(o.reused, 0);
  EXPECT_EQ(o.results.size(), 8u);
  EXPECT_EQ(lines().size(), 16u);
  EXPECT_EQ(read_results(results().string()).size(), 8u);  // the last of each
}

TEST_F(RunnerTest, WhatChangesTheJobIsDoneAnew) {
  Plan p = plan();
  p.methods = {"sgd"};
  p.targets = {"dim"};
  run(p);
  const auto done = [&](auto&& change) {
    Plan q = p;
    change(q);
    return run(q).done;
  };
  EXPECT_EQ(done([](Plan&) {}), 0);
  EXPECT_EQ(done([](Plan& q) { q.workers = 3, q.local_workers = 2; }), 0);
  EXPECT_EQ(done([](Plan& q) { q.options.gate_beta = 0.7; }), 1);  // of no use to sgd, but it stands in the result
  EXPECT_EQ(done([](Plan& q) { q.sets = {"lr=0.01"}; }), 1);
  EXPECT_EQ(done([](Plan& q) { q.seeds = {3}; }), 1);
  EXPECT_EQ(done([](Plan& q) { q.split = "even"; }), 1);
  EXPECT_EQ(done([](Plan& q) { q.limit = 5; }), 1);
  EXPECT_EQ(done([](Plan& q) { q.data_seed = 1; }), 1);
  EXPECT_EQ(done([](Plan& q) { q.training.seed = 1; }), 1);
  EXPECT_EQ(done([](Plan& q) { q.selection = Selection::pcv; }), 1);
  EXPECT_EQ(done([](Plan& q) { q.benchmark.folder = "elsewhere"; }), 1);
}

TEST_F(RunnerTest, RepetitionsInThePlanAreOneJob) {
  Plan p = plan();
  p.methods = {"sgd", "source", "sgd"};
  p.targets = {"dim", "dim"};
  p.seeds = {0, 0};
  const Outcome o = run(p);
  EXPECT_EQ(o.results.size(), 2u);
  EXPECT_EQ(o.done, 2);
}

TEST_F(RunnerTest, SettingsOfOneMethod) {
  Plan p = plan();
  p.targets = {"dim"};
  p.methods = {"sgd", "holt"};
  p.sets = {"lr=0.003", "sgd:lr=0.004", "steps=4"};
  const Outcome o = run(p);
  EXPECT_EQ(o.results[0].options.lr, 0.004);
  EXPECT_EQ(o.results[1].options.lr, 0.003);
  EXPECT_EQ(o.results[1].options.steps, 4);
  EXPECT_EQ(o.results[1].options.tau, 0.5);  // the alias' own
}

TEST_F(RunnerTest, AFailedJobIsRecordedAndTheOthersGoOn) {
  for (const int64_t workers : {1, 3}) {
    const std::string out = format("fail{}", workers);
    Plan p = plan(out);
    p.workers = workers;
    p.methods = {"sgd", "source", "lolsgd"};
    p.sets = {"sgd:lr=1e12"};
    const Outcome o = run(p);
    EXPECT_EQ(o.failed, 2);
    EXPECT_EQ(o.done, 6);
    ASSERT_EQ(o.results.size(), 6u);
    for (const Result& r : o.results) {
      EXPECT_EQ(r.error.empty(), r.method != "sgd") << r.method;
      if (r.method != "sgd") continue;
      EXPECT_NE(r.error.find("at step 3; the parameter "), std::string::npos) << r.error;
      EXPECT_EQ(r.options.lr, 1e12);
      EXPECT_EQ(r.split.seen.size(), 3u);
      EXPECT_EQ(r.classes, benchmark_.classes());
    }
    EXPECT_NE(said_.find("dim · sgd · seed 0 failed: the loss is"), std::string::npos) << said_;
    // It is tried again, and nothing else.
    const Outcome again = run(p);
    EXPECT_EQ(again.done, 2);
    EXPECT_EQ(again.reused, 4);
    EXPECT_EQ(again.results.size(), 6u);
    EXPECT_EQ(content(again), content(o));
  }
}

// Images that cannot be read cost their target's jobs.
class Broken : public test::TinyBenchmark {
 public:
  data::Dataset load(const std::string& domain, data::Part part, uint64_t seed) const override {
    check(domain != "dim" || part != data::Part::test, "dim/ant/7.png: not a PNG");
    return TinyBenchmark::load(domain, part, seed);
  }
};

TEST_F(RunnerTest, ABrokenTargetFailsItsJobsAlone) {
  for (const int64_t workers : {1, 2}) {
    Plan p = plan(format("broken{}", workers));
    p.workers = workers;
    const Outcome o = transfer::run(p, Broken(), {});
    EXPECT_EQ(o.failed, 4);
    ASSERT_EQ(o.results.size(), 8u);
    for (const Result& r : o.results) EXPECT_EQ(r.error, r.target == "dim" ? "dim/ant/7.png: not a PNG" : "");
  }
}

TEST_F(RunnerTest, ACorruptLineIsNamedAndTheFileLeftAlone) {
  run(plan());
  const std::vector<std::string> all = lines();
  for (const std::string& bad : {std::string("{\"id\": 3"), std::string("rubbish"), std::string("[]"), std::string(""),
                                 std::string("{}"), all[1].substr(0, 100)}) {
    std::string text;
    for (size_t i = 0; i < all.size(); ++i) text += (i == 3 ? bad : all[i]) + "\n";
    text += "half a li";
    std::ofstream(results(), std::ios::binary) << text;
    EXPECT_ERROR(run(plan()), "results.jsonl: line 4 is no result of holt");
    EXPECT_EQ(read_file(results().string()), text);
    EXPECT_ERROR(read_results(results().string()), "line 4");
  }
}

TEST_F(RunnerTest, CancellingLeavesWhatContinues) {
  const Outcome whole = run(plan("whole"));
  for (const int64_t workers : {1, 2}) {
    const std::string out = format("cancel{}", workers);
    Plan p = plan(out);
    p.workers = workers;
    std::atomic<bool> stop = false;
    RunEvents events;
    events.jobs = [&](const RunProgress& now) { stop = now.done >= 3; };
    events.cancelled = [&] { return stop.load(); };
    const Outcome o = run(p, events);
    EXPECT_TRUE(o.cancelled);
    EXPECT_GE(o.done, 3);
    EXPECT_LT(o.done, 8);
    EXPECT_EQ(o.failed, 0);  // what was cut short is no failure
    EXPECT_EQ(std::ssize(lines(out)), o.done);
    const Outcome rest = run(p);
    EXPECT_EQ(rest.reused, o.done);
    EXPECT_EQ(content(rest), content(whole));
  }
  // While the source model trains: no error, nothing recorded.
  Plan p = plan("early");
  p.cache = "";
  int asked = 0;
  RunEvents events;
  events.cancelled = [&] { return ++asked > 2; };
  const Outcome o = run(p, events);
  EXPECT_TRUE(o.cancelled);
  EXPECT_TRUE(o.results.empty());
  EXPECT_FALSE(fs::exists(results("early")));
}

TEST_F(RunnerTest, ProgressCountsTheJobs) {
  RunEvents events;
  std::vector<int64_t> done;
  std::set<std::string> finished;
  events.jobs = [&](const RunProgress& p) {
    done.push_back(p.done);
    finished.insert(p.finished);
    EXPECT_EQ(p.total, 8);
    EXPECT_GE(p.seconds_left, -1e-9);
    EXPECT_TRUE(p.done < 8 || p.seconds_left < 1e-6) << p.seconds_left;
  };
  run(plan(), events);
  EXPECT_EQ(done, (std::vector<int64_t>{1, 2, 3, 4, 5, 6, 7, 8}));
  EXPECT_EQ(finished.size(), 8u);
  EXPECT_TRUE(finished.count("moved · holt · seed 0"));
}

// A single odd thing in a result must not make the file unreadable.
TEST_F(RunnerTest, WhateverAResultHoldsIsReadAgain) {
  const std::string path = results().string();
  Result r;
  r.id = "1";
  r.target = "caf\xe9";  // Latin-1, from a folder's name
  r.error = "bad \xff\xfe bytes, \"quotes\" and\nlines";
  r.loss = {1.00004f, NAN, INFINITY, -1e30f};
  Journal(path).add(r);
  r.id = "2";
  r.error = "";
  Journal journal(path);
  journal.add(r);
  const std::vector<Result> read = read_results(path);
  ASSERT_EQ(read.size(), 2u);
  EXPECT_NE(read[0].error.find("\"quotes\" and\nlines"), std::string::npos);
  EXPECT_EQ(read[1].loss.size(), 4u);
  EXPECT_TRUE(std::isnan(read[1].loss[1]));
  // In memory as in the file.
  for (size_t i = 0; i < 2; ++i) EXPECT_EQ(Json(journal.results()[i]), Json(read[i]));
  EXPECT_EQ(journal.results()[1].loss[0], 1.0f);
}

}  // namespace
}  // namespace holt::transfer
