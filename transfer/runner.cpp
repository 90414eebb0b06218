#include "transfer/runner.h"

#include <algorithm>
#include <chrono>
#include <mutex>

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

// Work relative to plain fine-tuning, for the time that is left.
double cost_of(const Method& method, const Options& o) {
  double per_step = 1, more = 0.3;
  const auto steps = static_cast<double>(std::max<int64_t>(1, o.steps));
  for (const MethodEntry* p : method.parts) {
    if (p->name == "distill" || p->name == "lwf") per_step += 0.3;
    if (p->name == "align") more += static_cast<double>(o.align_steps) / steps;
    if (p->name == "lp-ft") more += 0.3;
  }
  const std::string& trainer = method.parts.front()->name;
  double rounds = 1;
  if (trainer == "source" || trainer == "bn-stats") rounds = 0;
  if (trainer == "lolsgd" || trainer == "local-sgd" || trainer == "sgd-restart")
    rounds = static_cast<double>(o.rounds * o.local_steps * (trainer == "sgd-restart" ? 1 : o.locals)) / steps;
  return rounds * per_step + more;
}

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
  std::string known;
  for (size_t i = 0; i < std::min<size_t>(all.size(), 20); ++i) known += (i ? ", " : "") + all[i];
  fail("{} has no domain '{}'; it has {}{}", data, name, known, all.size() > 20 ? ", …" : "");
}

class Run {
 public:
  Run(const Plan& plan, const data::Benchmark& benchmark, const RunEvents& events)
      : plan_(plan),
        benchmark_(benchmark),
        events_(events),
        source_domain_(known_domain(plan.source.empty() ? benchmark.source() : plan.source, benchmark, plan.data)),
        journal_(plan.out + "/results.jsonl") {
    if (journal_.repaired()) say("the last line of results.jsonl was cut off and is removed; its job is done again");
    std::vector<std::string> targets = plan.targets;
    if (targets.empty()) targets = benchmark.targets(source_domain_);
    check(!targets.empty(), "{} has no target for the source {}", plan.data, source_domain_);
    check(!plan.methods.empty() && !plan.seeds.empty(), "transfer: no methods or no seeds");
    for (const std::string& target : targets) {
      known_domain(target, benchmark, plan.data);
      check(target != source_domain_, "transfer: {} is the source and cannot be the target", target);
      for (const uint64_t seed : plan.seeds) slots_.push_back(std::make_unique<Slot>(target, seed));
    }
    for (const std::string& method : plan.methods) {  // a mistyped name is known before the source model trains
      Options options;
      resolve(spec(method, 0), options);
    }
  }

  Outcome run() {
    Outcome outcome;
    SourceModel source = get_source_model({.data = plan_.data,
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
    outcome.source_id = source_id_ = source.id;
    outcome.source_accuracy = source.test_accuracy;
    outcome.source_seconds = source.seconds;
    announce(source);
    plan_jobs(outcome);
    model_ = source.model.get();

    begin_ = Clock::now();
    in_parallel(std::ssize(jobs_), plan_.workers, [&](int64_t i) {
      const ThreadLimit one(1);
      if (!cancelled()) work(jobs_[i]);
    });
    outcome.cancelled = cancelled();
    outcome.done = done_;
    for (const std::string& id : order_)
      for (const Result& r : journal_.results())
        if (r.id == id) {
          outcome.results.push_back(r);
          outcome.failed += !r.error.empty();
        }
    return outcome;
  }

 private:
  JobSpec spec(const std::string& method, uint64_t seed) const {
    return {.method = method,
            .options = plan_.options,
            .sets = plan_.sets,
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
    if (!plan_.source_model.empty())
      say(format("source model: {}", plan_.source_model));
    else
      say(format("source model: {} on {}, {}test accuracy {:.2f} %{}", plan_.training.model, source_domain_,
                 s.cached ? "found in the cache, " : "", 100 * s.test_accuracy,
                 s.cached ? "" : format(", trained in {:.0f} s", s.seconds)));
  }

  // What is to be done, and what is done already. Every task is made once, so that wrong splits and missing classes are
  // known before the first job.
  void plan_jobs(Outcome& outcome) {
    const std::string data = format("{}|{}|{}|{}|{}", plan_.data, plan_.benchmark.folder, plan_.benchmark.image_size,
                                    plan_.data_seed, plan_.limit);
    for (const auto& slot : slots_) {
      const Task task = make_task(plan_.data, benchmark_, task_request(plan_, source_domain_, *slot));
      for (const std::string& method : plan_.methods) {
        Job job{spec(method, slot->seed), slot.get()};
        job.id = job_id(job.spec, task, data, plan_.device);
        order_.push_back(job.id);
        if (!plan_.force && journal_.find(job.id)) {
          ++outcome.reused;
          continue;
        }
        Options options;
        const Method parts = resolve(job.spec, options);
        job.cost = cost_of(parts, options) * (plan_.selection == Selection::none ? 1 : 8);
        total_cost_ += job.cost;
        ++slot->jobs_left;
        jobs_.push_back(std::move(job));
      }
    }
  }

  void work(const Job& job) {
    Result result;
    std::shared_ptr<const Task> task;
    {
      const std::lock_guard lock(job.slot->mutex);
      if (!job.slot->task)
        job.slot->task =
            std::make_shared<Task>(make_task(plan_.data, benchmark_, task_request(plan_, source_domain_, *job.slot)));
      task = job.slot->task;
    }
    try {
      result = run_job(job.spec, *task, *model_,
                       {.device = plan_.device, .local_workers = plan_.local_workers, .cancelled = events_.cancelled});
    } catch (const std::exception& e) {
      if (cancelled()) return;
      result = blank_result(job.spec, *task, plan_.device);
      resolve(job.spec, result.options);
      const auto* error = dynamic_cast<const Error*>(&e);
      result.error = error ? error->message() : e.what();
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
  const std::string source_domain_;
  Journal journal_;
  std::string source_id_;
  nn::Model* model_ = nullptr;
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
