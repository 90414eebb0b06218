// A whole study: one source model, targets × methods × seeds, each a job; several jobs side by side, one core each.
//
// Each finished job is on disk before the next begins, and what is on disk is not done again. The results are a
// function of the plan: not of the number of workers, nor of how often the run was interrupted.
#pragma once
#include "transfer/job.h"
#include "transfer/journal.h"
#include "transfer/source_model.h"

namespace holt::transfer {

struct Plan {
  std::string data;
  data::BenchmarkOptions benchmark = {};
  std::string source;                ///< "": the benchmark's own
  std::vector<std::string> targets;  ///< empty: the benchmark's own
  std::vector<std::string> methods;
  std::vector<uint64_t> seeds = {0};
  std::string split = "random";
  uint64_t data_seed = 0;
  int64_t limit = 0;  ///< images of each class in each part; 0: all
  SourceTraining training = {};
  std::string source_model = {};  ///< a file in place of training
  Options options = {};
  std::vector<std::string> sets = {};
  Selection selection = Selection::none;
  std::vector<std::string> calibrations = {"alg", "best"};
  Device device = {};
  DType precision = DType::f32;  ///< of the adaptations and their tests; the source model is trained in f32
  int64_t workers = 1, local_workers = 1;
  std::string out;     ///< folder: results.jsonl
  std::string cache;   ///< folder for source models
  bool force = false;  ///< do finished jobs again
};

struct RunProgress {
  int64_t done = 0, total = 0;  ///< jobs of this run, without those found finished
  double seconds_left = 0;
  std::string finished;  ///< the job that just ended: "Breip · holt · seed 0"
};

/// How a program watches and stops a run. Called from one thread at a time.
struct RunEvents {
  std::function<void(const std::string& line)> say = {};  ///< what stays on the screen
  std::function<void(const SourceProgress&)> source = {};
  std::function<void(const RunProgress&)> jobs = {};
  std::function<bool()> cancelled = {};  ///< any thread
};

struct Outcome {
  std::vector<Result> results;  ///< of the plan's jobs that are finished, in the plan's order: target, seed, method
  int64_t planned = 0, done = 0, reused = 0, failed = 0;  ///< jobs; failed ones are among the others
  double seconds = 0;                                     ///< of the jobs, not of the source model
  bool cancelled = false;
  std::string source_id;
  double source_accuracy = 0, source_seconds = 0;
};

/// Checks the whole plan before any work. A job that fails is recorded with its error, and the others go on. The
/// caller holds the lock of `out`.
Outcome run(const Plan& plan, const data::Benchmark& benchmark, const RunEvents& events);

}  // namespace holt::transfer
