#include "transfer/runner.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <mutex>

#include "core/nearest.h"
#include "kernels/parallel.h"
#include "transfer/training.h"

namespace holt::transfer {
namespace {

using Clock = std::chrono::steady_clock;

// The data of one target and seed, shared by its jobs: made when the first begins, freed with the last.
struct Slot {
  Slot(std::string t, uint64_t s) : target(std::move(t)), seed(s) {}
  std::string target;
  uint64_t seed;
  Split split = {};
  std::mutex mutex = {};
  std::shared_ptr<const Task> task = {};
  int64_t jobs_left = 0;
};

struct Job {
  JobSpec spec;
  Slot* slot;
  std::string id = {};
  double cost = 1;  // relative
};

TaskRequest task_request(const Plan& plan, const std::string& source, const Slot& slot) {
  return {.source = source,
          .target = slot.target,
          .split = plan.split,
          .split_seed = slot.seed,
          .data_seed = plan.data_seed,
          .limit = plan.limit};
}

std::string known_domain(const std::string& name, const data::Benchmark& benchmark, const std::string& data) {
  const std::vector<std::string>& all = benchmark.domains();
  if (std::find(all.begin(), all.end(), name) != all.end()) return name;
  fail("{} has no domain '{}'{} it has {}", data, name, nearest(name, all).empty() ? ";" : did_you_mean(name, all),
       first_of(all, 20));
}

// Without repetitions, in the order of the first ones.
template <class T>
std::vector<T> once(const std::vector<T>& list) {
  std::vector<T> kept;
  for (const T& x : list)
    if (std::find(kept.begin(), kept.end(), x) == kept.end()) kept.push_back(x);
  return kept;
}

class Run {
 public:
  Run(const Plan& plan, const data::Benchmark& benchmark, const RunEvents& events)
      : plan_(plan),
        benchmark_(benchmark),
        events_(events),
        methods_(once(plan.methods)),
        source_domain_(known_domain(plan.source.empty() ? benchmark.source() : plan.source, benchmark, plan.data)),
        journal_(plan.out + "/results.jsonl") {
    check(std::filesystem::is_directory(plan.out), "transfer: there is no folder '{}' for the results", plan.out);
    if (journal_.repaired()) say("the last line of results.jsonl was cut off and is removed; its job is done again");
    std::vector<std::string> targets = once(plan.targets);
    if (targets.empty()) targets = benchmark.targets(source_domain_);
    check(!targets.empty(), "{} has no target for the source {}", plan.data, source_domain_);
    check(!methods_.empty() && !plan.seeds.empty(), "transfer: no methods or no seeds");
    for (const std::string& target : targets) {
      known_domain(target, benchmark, plan.data);
      check(target != source_domain_, "transfer: {} is the source and cannot be the target", target);
      for (const uint64_t seed : once(plan.seeds)) {
        slots_.push_back(std::make_unique<Slot>(target, seed));
        slots_.back()->split = task_split(plan.data, benchmark, task_request(plan, source_domain_, *slots_.back()));
      }
    }
    check_options();
  }

  Outcome run() {
    Outcome outcome;
    SourceModel source;
    try {
      source = source_model();
    } catch (const Error&) {
      if (!cancelled()) throw;
      outcome.cancelled = true;
      return outcome;
    }
    outcome.source_id = source_id_ = source.id;
    outcome.source_accuracy = source.test_accuracy;
    outcome.source_seconds = source.seconds;
    announce(source);
    plan_jobs(outcome);
    model_ = source.model.get();
    normalize_ = {source.usage.mean, source.usage.std};

    begin_ = Clock::now();
    in_parallel(std::ssize(jobs_), plan_.workers, [&](int64_t i) {
      const ThreadLimit one(1);
      if (!cancelled()) work(jobs_[i]);
    });
    outcome.cancelled = cancelled();
    outcome.done = done_;
    outcome.planned = std::ssize(order_);
    outcome.seconds = std::chrono::duration<double>(Clock::now() - begin_).count();
    for (const std::string& id : order_)
      for (const Result& r : journal_.results())
        if (r.id == id) {
          outcome.results.push_back(r);
          outcome.failed += !r.error.empty();
        }
    return outcome;
  }

 private:
  SourceModel source_model() const {
    return get_source_model({.data = plan_.data,
                             .folder = plan_.benchmark.folder,
                             .benchmark = benchmark_,
                             .domain = source_domain_,
                             .training = plan_.training,
                             .data_seed = plan_.data_seed,
                             .limit = plan_.limit,
                             .device = plan_.device,
                             .cache = plan_.cache,
                             .file = plan_.source_model,
                             .progress = events_.source,
                             .cancelled = events_.cancelled});
  }

  // Mistyped names are known before the source model trains.
  void check_options() const {
    for (const std::string& method : methods_) {
      Options options;
      resolve(spec(method, 0), options);
    }
    for (const std::string& text : plan_.sets) {
      const Setting s = parse_setting(text);
      Options options;
      set(options, s.name, s.value);
      check(s.method.empty() || std::find(methods_.begin(), methods_.end(), s.method) != methods_.end(),
            "--set {}: this run has no method '{}'{}", text, s.method, did_you_mean(s.method, methods_));
    }
    for (const std::string& name : plan_.calibrations)
      check(name == "alg" || name == "pcv" || name == "best", "calibration '{}' is unknown; known are alg, pcv, best",
            name);
  }

  JobSpec spec(const std::string& method, uint64_t seed) const {
    return {.method = method,
            .options = plan_.options,
            .sets = plan_.sets,
            .precision = plan_.precision,
            .selection = plan_.selection,
            .calibrations = plan_.calibrations,
            .seed = seed,
            .source_id = source_id_};
  }

  void say(const std::string& line) const {
    if (events_.say) events_.say(line);
  }
  bool cancelled() const { return events_.cancelled && events_.cancelled(); }

  void announce(const SourceModel& s) const {
    if (!s.note.empty()) say(s.note);
    if (!plan_.source_model.empty())
      say(format("source model: {}", plan_.source_model));
    else
      say(format("source model: {} on {}, {}test accuracy {:.2f} %{}", plan_.training.model, source_domain_,
                 s.cached ? "found in the cache, " : "", 100 * s.test_accuracy,
                 s.cached ? "" : format(", trained in {:.0f} s", s.seconds)));
  }

  // What is to be done, and what is done already.
  void plan_jobs(Outcome& outcome) {
    const std::string data = format("{}|{}|{}|{}|{}", plan_.data, plan_.benchmark.folder, plan_.benchmark.image_size,
                                    plan_.data_seed, plan_.limit);
    for (const auto& slot : slots_) {
      const Task task = outline(*slot);
      for (const std::string& method : methods_) {
        Job job{spec(method, slot->seed), slot.get()};
        job.id = job_id(job.spec, task, data, plan_.device);
        order_.push_back(job.id);
        if (!plan_.force && journal_.find(job.id)) {
          ++outcome.reused;
          continue;
        }
        Options options;
        const Method parts = resolve(job.spec, options);
        job.cost = estimated_work(parts, options) * (plan_.selection == Selection::none ? 1 : 8);
        total_cost_ += job.cost;
        ++slot->jobs_left;
        jobs_.push_back(std::move(job));
      }
    }
  }

  // The slot's task without its images.
  Task outline(const Slot& slot) const {
    Task task{.data = plan_.data, .source = source_domain_, .target = slot.target};
    task.split = slot.split;
    task.train.classes = task.train_all.classes = benchmark_.classes();
    return task;
  }

  std::shared_ptr<const Task> task_of(Slot& slot) const {
    const std::lock_guard lock(slot.mutex);
    if (!slot.task) {
      Task task = make_task(plan_.data, benchmark_, task_request(plan_, source_domain_, slot));
      task.normalize = normalize_;  // what the source model was trained with
      slot.task = std::make_shared<Task>(std::move(task));
    }
    return slot.task;
  }

  void work(const Job& job) {
    Result result;
    try {
      const std::shared_ptr<const Task> task = task_of(*job.slot);
      result = run_job(job.spec, *task, *model_,
                       {.device = plan_.device, .local_workers = plan_.local_workers, .cancelled = events_.cancelled});
    } catch (const std::exception& e) {
      if (cancelled()) return;
      result = blank_result(job.spec, outline(*job.slot), plan_.device);
      resolve(job.spec, result.options);
      const auto* error = dynamic_cast<const Error*>(&e);
      result.error = error ? error->message() : e.what();
      if (result.error.empty()) result.error = "unknown error";
    }
    result.id = job.id;
    journal_.add(result);

    const std::lock_guard lock(mutex_);
    if (--job.slot->jobs_left == 0) job.slot->task.reset();
    ++done_;
    done_cost_ += job.cost;
    const std::string name = format("{} · {} · seed {}", job.slot->target, job.spec.method, job.spec.seed);
    if (!result.error.empty()) say(format("{} failed: {}", name, result.error));
    const double seconds = std::chrono::duration<double>(Clock::now() - begin_).count();
    if (events_.jobs) events_.jobs({done_, std::ssize(jobs_), seconds * (total_cost_ - done_cost_) / done_cost_, name});
  }

  const Plan& plan_;
  const data::Benchmark& benchmark_;
  const RunEvents& events_;
  const std::vector<std::string> methods_;
  const std::string source_domain_;
  Journal journal_;
  std::string source_id_;
  nn::Model* model_ = nullptr;
  data::Normalize normalize_;
  std::vector<std::unique_ptr<Slot>> slots_;
  std::vector<Job> jobs_;
  std::vector<std::string> order_;  // ids of all jobs of the plan
  std::mutex mutex_;                // of what follows
  int64_t done_ = 0;
  double done_cost_ = 0, total_cost_ = 0;
  Clock::time_point begin_;
};

}  // namespace

Outcome run(const Plan& plan, const data::Benchmark& benchmark, const RunEvents& events) {
  return Run(plan, benchmark, events).run();
}

}  // namespace holt::transfer
