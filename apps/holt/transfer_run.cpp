#include "apps/holt/transfer_run.h"

#include <omp.h>

#include <cstdio>

#include "apps/holt/interrupt.h"
#include "apps/holt/progress.h"
#include "apps/holt/transfer_output.h"
#include "core/folder_lock.h"
#include "kernels/build_info.h"

namespace holt::app {
namespace {

using namespace transfer;

}  // namespace

int run_transfer(const TransferOptions& o) {
  Plan plan = o.plan;
  plan.workers = o.workers > 0 ? o.workers : omp_get_max_threads();
  const std::unique_ptr<data::Benchmark> benchmark = data::open_benchmark(plan.data, plan.benchmark);
  const FolderLock lock("transfer", plan.out);
  Progress progress(o.plain);
  const Interrupt interrupt;
  progress.line(format("holt {} ({}): {} on {}, {} worker{}", build_info().version, build_info().commit, plan.data,
                       plan.device, plan.workers, plan.workers == 1 ? "" : "s"));
  RunEvents events;
  events.say = [&](const std::string& line) { progress.line(line); };
  events.cancelled = [&] { return interrupt.signal() != 0; };
  events.source = [&](const SourceProgress& s) {
    progress.show({.epoch = s.epoch,
                   .epochs = s.epochs,
                   .step = s.step,
                   .steps = s.steps,
                   .loss = s.loss,
                   .accuracy = s.accuracy,
                   .images_per_second = s.images_per_second,
                   .seconds_left = s.seconds_left});
  };
  events.jobs = [&](const RunProgress& p) { progress.show_jobs(p.done, p.total, p.finished, p.seconds_left); };
  const Outcome outcome = run(plan, *benchmark, events);
  progress.clear();
  if (outcome.cancelled) {
    progress.line(format("stopped after {} of {} jobs; the same command goes on from there", outcome.results.size(),
                         outcome.planned));
    return 128 + interrupt.signal();
  }
  progress.line(format("{} jobs done in {}{}\n", outcome.done, clock_time(outcome.seconds),
                       outcome.reused ? format(", {} found finished", outcome.reused) : ""));
  write_study(plan, *benchmark, outcome, command_line());
  return outcome.failed > 0 ? 1 : 0;
}

int list_methods() {
  std::printf("Parts, to be joined by +:\n");
  for (const MethodEntry& m : method_parts())
    std::printf("  %-18s %s%s%s\n", m.name.c_str(), m.description.c_str(), m.source.empty() ? "" : "  — ",
                m.source.c_str());
  std::printf("Short names:\n");
  for (const MethodAlias& a : method_aliases())
    std::printf("  %-18s %s = %s\n", a.name.c_str(), a.description.c_str(), a.composition.c_str());
  std::printf("--methods all:\n");
  for (const std::string& m : standard_methods()) std::printf("  %s\n", m.c_str());
  return 0;
}

int list_options(const Options& options) {
  for (const OptionInfo& info : option_table()) {
    std::string words;
    for (const std::string& w : info.words) words += (words.empty() ? " (" : ", ") + w;
    std::printf("  %-28s %-12s %s%s\n", info.name.c_str(), get(options, info.name).c_str(), info.help.c_str(),
                words.empty() ? "" : (words + ")").c_str());
  }
  return 0;
}

}  // namespace holt::app
