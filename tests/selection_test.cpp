// Choosing without cheating: what the pseudo-partial folds train on, what they are asked, and that no test image is
// ever touched.
#include "transfer/selection.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <set>

#include "tests/harness/expect_error.h"
#include "tests/harness/tiny_transfer.h"
#include "transfer/calibration.h"
#include "transfer/job.h"
#include "transfer/training.h"

namespace holt::transfer {
namespace {

using test::tiny_options, test::tiny_task;
using Image = std::string;  // its bytes

// What was trained on, adaptation by adaptation.
struct Trained {
  std::set<Image> images;
  std::set<int64_t> labels;
};
std::vector<Trained> trained;

class Recorder : public Part {
 public:
  void begin(Adaptation&) override { trained.emplace_back(); }
  Tensor penalty(const Adaptation& a, const Forward& f) override {
    const std::vector<float> x = f.images.to_vector<float>();
    const auto& [mean, std] = a.task.normalize;
    for (size_t at = 0; at < x.size(); at += 64) {
      Image image;
      for (size_t i = at; i < at + 64; ++i)
        image.push_back(static_cast<char>(std::lround(255 * (x[i] * std[0] + mean[0]))));
      trained.back().images.insert(image);
    }
    for (const int64_t label : f.labels.to_vector<int64_t>()) trained.back().labels.insert(label);
    return {};
  }
};

std::vector<Image> images_of(const data::Dataset& d) {
  const std::vector<uint8_t> all = d.images.to_vector<uint8_t>();
  std::vector<Image> list;
  for (int64_t i = 0; i < d.size(); ++i) list.emplace_back(all.begin() + i * 64, all.begin() + (i + 1) * 64);
  return list;
}

class SelectionTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    source_ = test::tiny_source();
    register_method({.name = "recorder", .description = "remembers", .source = "", .make = [] {
                       return std::make_unique<Recorder>();
                     }});
  }
  static void TearDownTestSuite() { source_.reset(); }
  void SetUp() override { trained.clear(); }

  static Options many_steps() {
    Options o = tiny_options();
    o.steps = 20;  // of 8: every image of a half is met
    o.lr = 0.001;
    return o;
  }
  static std::vector<Fold> folds(const std::string& name, const Task& task, Options o, uint64_t seed = 1) {
    const Method m = parse_method(name, o);
    return pseudo_folds(*source_, task, m, o, {.seed = seed});
  }
  static Selected choose(Selection s, const std::string& name, const Task& task, Options o = tiny_options()) {
    const Method m = parse_method(name, o);
    return select_options(s, *source_, task, m, o, {.seed = 1});
  }

  static inline std::unique_ptr<nn::Model> source_;

 private:
  const ThreadLimit one_{1};
};

// A test part that nobody may look at: any use throws.
Task without_test(Task task) {
  task.test = {};
  return task;
}

TEST_F(SelectionTest, FoldsNeverTrainOnWhatTheyAreAsked) {
  for (const char* split : {"classes:ant,cow,elk,fox", "classes:ant,bee,dog", "classes:bee,elk"})
    for (const uint64_t seed : {1, 2, 3}) {
      trained.clear();
      const Task task = without_test(tiny_task(split));
      const std::vector<Fold> result = folds("sgd+recorder", task, many_steps(), seed);
      ASSERT_EQ(result.size(), 2u);
      ASSERT_EQ(trained.size(), 2u);
      const std::vector<Image> images = images_of(task.train);
      const std::vector<int64_t> labels = task.train.labels.to_vector<int64_t>();
      std::set<int64_t> both;
      std::set<Image> ever;
      for (int k = 0; k < 2; ++k) {
        // The halves: what is called seen is exactly what was trained on.
        std::set<int64_t> half;
        for (int64_t c = 0; c < 6; ++c)
          if (result[k].pseudo_seen[c]) half.insert(c);
        EXPECT_EQ(trained[k].labels, half);
        EXPECT_LE(std::abs(2 * std::ssize(half) - std::ssize(task.split.seen)), 1);
        for (const int64_t c : half) EXPECT_TRUE(both.insert(c).second) << "class " << c << " is in both halves";
        ever.insert(trained[k].images.begin(), trained[k].images.end());
      }
      EXPECT_EQ(both, std::set<int64_t>(task.split.seen.begin(), task.split.seen.end()));
      // What was never trained on is what is asked, a fifth of every class; and nothing else was trained on.
      std::vector<int64_t> out;
      for (size_t i = 0; i < images.size(); ++i)
        if (!ever.count(images[i])) out.push_back(labels[i]);
      EXPECT_EQ(ever.size() + out.size(), images.size());
      for (const int64_t c : task.split.seen) EXPECT_EQ(std::count(out.begin(), out.end(), c), 2);
      for (const Fold& f : result) EXPECT_EQ(f.held_out.labels, out);
    }
}

TEST_F(SelectionTest, HalvesDependOnTheSeed) {
  std::set<std::vector<bool>> halves;
  for (uint64_t seed = 0; seed < 12; ++seed)
    halves.insert(
        folds("source", without_test(tiny_task("classes:ant,bee,cow,dog")), tiny_options(), seed)[0].pseudo_seen);
  EXPECT_GT(halves.size(), 3u);
  EXPECT_EQ(folds("sgd", tiny_task(), tiny_options(), 5)[1].held_out.logits,
            folds("sgd", tiny_task(), tiny_options(), 5)[1].held_out.logits);
}

TEST_F(SelectionTest, TheOnlyImageOfAClassIsBothTrainedOnAndAsked) {
  Task task = without_test(tiny_task("classes:ant,cow"));
  task.train = limited(task.train, 1);
  const std::vector<Fold> f = folds("frozen-bn+recorder", task, many_steps());  // one value has no variance
  EXPECT_EQ(trained[0].images.size() + trained[1].images.size(), 2u);
  EXPECT_EQ(f[0].held_out.size(), 2);
  task.train = limited(tiny_task("classes:ant,cow").train, 2);
  trained.clear();
  const std::vector<Fold> two = folds("frozen-bn+recorder", task, many_steps());
  const std::vector<Image> all = images_of(task.train);
  EXPECT_EQ(two[0].held_out.size(), 2);
  for (const Trained& t : trained) EXPECT_EQ(t.images.size(), 1u);
}

TEST_F(SelectionTest, OneSeenClassCannotBeHalved) {
  Task task = tiny_task("classes:cow");
  EXPECT_ERROR(folds("sgd", task, tiny_options()), "at least two classes must be seen");
  EXPECT_ERROR(choose(Selection::pcv, "sgd", task), "at least two classes must be seen");
}

// By the definitions, from logits made here.
TEST_F(SelectionTest, ScoreAndCalibrationAverageOverTheFolds) {
  const Task task = tiny_task("classes:ant,bee,cow,dog");
  // Missing classes (elk, fox) have the largest logits everywhere: they must not take part.
  const auto fold = [](const Seen& half, std::vector<std::array<float, 4>> rows, std::vector<int64_t> labels) {
    Fold f{{.classes = 6, .logits = {}, .labels = std::move(labels)}, half};
    for (const auto& r : rows) {
      f.held_out.logits.insert(f.held_out.logits.end(), r.begin(), r.end());
      f.held_out.logits.insert(f.held_out.logits.end(), {99, 99});
    }
    return f;
  };
  const Seen first = {true, true, false, false, false, false}, second = {false, false, true, true, false, false};
  const std::vector<Fold> folds = {
      // ant right; bee right; cow falls to ant by 2, dog to bee by 3.
      fold(first, {{5, 0, 0, 0}, {0, 5, 0, 0}, {4, 0, 2, 0}, {0, 5, 0, 2}}, {0, 1, 2, 3}),
      // everything right but ant, which falls to cow by 1.
      fold(second, {{2, 0, 3, 0}, {0, 9, 0, 0}, {0, 0, 9, 0}, {0, 0, 0, 9}}, {0, 1, 2, 3})};
  EXPECT_DOUBLE_EQ(pseudo_score(folds, task), ((1.0 + 0.0) / 2 + (1.0 + 0.5) / 2) / 2);
  // First fold: both missing ones are right for γ in (3, 5). Second: for γ in (1, 9).
  EXPECT_DOUBLE_EQ(pseudo_calibration(folds, task), (4.0 + 5.0) / 2);
  EXPECT_DOUBLE_EQ(pseudo_calibration({folds[0]}, task), pseudo_gamma(folds[0].held_out, task.split.mask(6), first));
}

TEST_F(SelectionTest, NoTestImageIsTouched) {
  for (const Selection s : {Selection::none, Selection::pcv}) {
    const Selected with = choose(s, "sgd+distill", tiny_task()),
                   without = choose(s, "sgd+distill", without_test(tiny_task()));
    EXPECT_EQ(with.options, without.options);
    EXPECT_EQ(with.chosen, without.chosen);
    EXPECT_EQ(with.chosen.size(), s == Selection::none ? 0u : 2u);
  }
  EXPECT_ANY_THROW(choose(Selection::oracle, "sgd", without_test(tiny_task())));  // the trap works
}

// The images of missing classes, which the task holds for the oracle, are as far away as the test.
TEST_F(SelectionTest, NoMissingClassIsTouched) {
  Task poor = without_test(tiny_task());
  const Selected rich = choose(Selection::pcv, "lolsgd+distill", poor);
  poor.train_all = poor.train;
  EXPECT_EQ(choose(Selection::pcv, "lolsgd+distill", poor).options, rich.options);
}

TEST_F(SelectionTest, TakesTheBestOfItsGrid) {
  const Task task = tiny_task("classes:ant,bee,cow,dog");
  Options o = tiny_options();
  o.lr = 0.0002;
  const Selected s = choose(Selection::pcv, "sgd+wise", task, o);
  Options base = o;
  const Method m = parse_method("sgd+wise", base);
  const auto score = [&](const Options& x) {
    return pseudo_score(pseudo_folds(*source_, task, m, x, {.seed = 1}), task);
  };
  // The search by hand: the learning rate first, then α at the rate taken; ties go to what stood there.
  double best = score(o);
  for (const char* name : {"lr", "wise.alpha"}) {
    const std::vector<std::string> values =
        std::string(name) == "lr" ? std::vector<std::string>{format("{}", 0.0002 / 3), format("{}", 0.0002 * 3)}
                                  : std::vector<std::string>{"0.3", "0.5", "0.7"};
    const Options from = base;
    for (const std::string& v : values) {
      Options candidate = from;
      set(candidate, name, v);
      if (const double x = score(candidate); x > best) best = x, base = candidate;
    }
  }
  EXPECT_EQ(s.options, base);
  EXPECT_EQ(s.chosen,
            (std::map<std::string, std::string>{{"lr", get(base, "lr")}, {"wise.alpha", get(base, "wise.alpha")}}));
  EXPECT_TRUE(choose(Selection::pcv, "source", task).chosen.empty());
}

TEST_F(SelectionTest, ACandidateThatDivergesLoses) {
  Options o = tiny_options();
  o.steps = 3;
  o.lr = 3e10;  // three times that, and a third: all diverge
  EXPECT_ERROR(choose(Selection::pcv, "sgd", tiny_task(), o), "the loss is");
  // Only the larger one does.
  for (double lr = 1e-2; lr < 1e30; lr *= 3) {
    Options low = o, high = o;
    low.lr = lr, high.lr = 3 * lr;
    const auto survives = [&](Options& x) {
      const Method m = parse_method("sgd", x);
      try {
        pseudo_folds(*source_, tiny_task(), m, x, {.seed = 1});
        return true;
      } catch (const Error&) { return false; }
    };
    if (!survives(low) || survives(high)) continue;
    EXPECT_LE(choose(Selection::pcv, "sgd", tiny_task(), low).options.lr, lr);
    return;
  }
  FAIL() << "no learning rate whose triple diverges";
}

TEST_F(SelectionTest, CancellingIsNoBadCandidate) {
  Options o = tiny_options();
  const Method m = parse_method("sgd", o);
  int asked = 0;
  EXPECT_ERROR(select_options(Selection::pcv, *source_, tiny_task(), m, o, {.cancelled = [&] { return ++asked > 20; }}),
               "cancelled");
}

TEST_F(SelectionTest, Names) {
  for (const Selection s : {Selection::none, Selection::pcv, Selection::oracle})
    EXPECT_EQ(parse_selection(to_string(s)), s);
  EXPECT_ERROR(parse_selection("test"), "'test' is unknown; known are none, pcv, oracle");
}

// ---- Whole jobs.

TEST_F(SelectionTest, AJobSaysHowItWasChosen) {
  const Task task = tiny_task();
  const auto job = [&](const std::string& method, Selection s) {
    return run_job({.method = method, .options = tiny_options(), .selection = s}, task, *source_, {});
  };
  const Result none = job("sgd", Selection::none), pcv = job("sgd", Selection::pcv),
               oracle = job("sgd", Selection::oracle);
  EXPECT_EQ(none.selection, "none");
  EXPECT_TRUE(none.selected.empty());
  EXPECT_EQ(pcv.selection, "pcv");
  EXPECT_EQ(pcv.selected.at("lr"), get(pcv.options, "lr"));
  EXPECT_EQ(oracle.selection, "oracle");
  EXPECT_GE(oracle.plain.overall, none.plain.overall);  // it saw the test
  EXPECT_GE(oracle.plain.overall, pcv.plain.overall);
}

TEST_F(SelectionTest, CalibrationsOfAJob) {
  const Task task = tiny_task();
  const JobSpec spec{.method = "sgd", .options = tiny_options(), .calibrations = {"alg", "pcv", "best"}, .seed = 4};
  const Result r = run_job(spec, task, *source_, {});
  Options o = spec.options;
  const Method m = parse_method("sgd", o);
  const AdaptSettings settings{.seed = derive_seed(4, "adapt")};
  const Classifier c = adapt(*source_, task, m, o, settings).classifier;
  const Seen seen = task.split.mask(6);
  EXPECT_EQ(r.calibrated.at("pcv").gamma, pseudo_calibration(pseudo_folds(*source_, task, m, o, settings), task));
  EXPECT_EQ(r.calibrated.at("alg").gamma,
            average_logit_gap(evaluate(c, task.train, task.normalize, {}).predictions, seen));
  const Predictions test = evaluate(c, task.test, task.normalize, {}).predictions;
  EXPECT_EQ(r.calibrated.at("best").gamma, best_gamma(test, seen));
  for (const auto& [name, a] : r.calibrated) {
    EXPECT_EQ(a.overall, measure(test, seen, a.gamma).overall) << name;
    EXPECT_GE(r.calibrated.at("best").overall, a.overall) << name;
  }
  EXPECT_GE(r.calibrated.at("best").overall, r.plain.overall);
  // One seen class: γ cannot be had from it, and the job goes on without.
  const Result one = run_job({.method = "sgd", .options = tiny_options(), .calibrations = {"alg", "pcv", "best"}},
                             tiny_task("classes:cow"), *source_, {});
  EXPECT_EQ(one.calibrated.size(), 1u);
}

TEST_F(SelectionTest, CheckpointsChangeNothingAndComeEvenly) {
  const Task task = tiny_task();
  for (const char* name : {"sgd", "lp-ft", "linear-probe", "lolsgd", "bn-stats"}) {
    Options o = tiny_options();
    o.steps = o.probe_steps = 10;
    const auto job = [&](int64_t checkpoints) {
      return run_job({.method = name, .options = o, .checkpoints = checkpoints}, task, *source_, {});
    };
    const Result none = job(0), some = job(2);
    EXPECT_EQ(none.plain.overall, some.plain.overall) << name;
    EXPECT_EQ(none.loss, some.loss) << name;
    EXPECT_TRUE(none.checkpoints.empty());
    const int64_t steps = std::ssize(some.loss);
    if (std::string(name) == "bn-stats") {
      EXPECT_EQ(steps, 0);
      continue;
    }
    ASSERT_EQ(some.checkpoints.size(), 2u) << name;
    EXPECT_EQ(some.checkpoints[0].step, steps / 2) << name;
    EXPECT_EQ(some.checkpoints[1].step, steps) << name;
    if (std::string(name) == "lolsgd") continue;  // its running statistics are the round's
    EXPECT_EQ(some.checkpoints[1].seen, some.plain.seen) << name;
  }
}

TEST_F(SelectionTest, AnAdaptationThatEndsInNonsenseIsAnError) {
  Options o = tiny_options();
  o.lr = 1e30;
  o.steps = 1;  // the loss of the only step is finite; what it leaves is not
  EXPECT_ERROR(run_job({.method = "sgd", .options = o, .calibrations = {"best"}}, tiny_task(), *source_, {}),
               "after training a logit is");
}

}  // namespace
}  // namespace holt::transfer
