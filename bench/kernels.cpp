// holt_bench: times every op family's bench cases (tests/cases/<op>.h) and prints, beside the time, what the call must
// move and compute, and which part of the roof it reaches:
//
//   roof [s] = max(bytes / copy bandwidth, flops / peak)        both measured in the same run, by device_peaks.h
//
// Flags: Google Benchmark's own (--benchmark_filter=REGEX, --benchmark_min_time=SECONDS …) and
//   --device=cpu|cuda   --kernels=own|vendor   --cold   --csv=FILE
// On cuda every rung is timed, the vendor's among them where there is one; --kernels=own or vendor leaves the others
// out.
// --cold flushes the caches before every call: what a call costs inside a network whose tensors exceed the cache.
#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <fmt/os.h>

#include <numeric>
#include <optional>

#include "bench/buffers.h"
#include "bench/device_peaks.h"
#include "kernels/build_info.h"
#include "kernels/rungs.h"
#include "kernels/stream.h"

namespace holt::bench {
namespace {

using test::Case;

struct Flags {
  Device device;
  std::string_view kernels = {};  // own, vendor; empty: both
  bool cold = false;
  std::string csv;
};

void flush_caches() {
  static std::vector<int64_t> big(int64_t{96} << 17);  // 96 MiB: beyond any last-level cache share here
  std::iota(big.begin(), big.end(), big[0]);
  benchmark::ClobberMemory();
}

void time_case(benchmark::State& state, const Case& c, std::string_view rung, const Flags& flags) {
  std::optional<ScopedRung> scoped;
  if (!rung.empty()) scoped.emplace(c.op, rung);
  const Buffers buffers(c, flags.device);
  c.run(flags.device, buffers.pointers);  // warm: plans, caches, pages
  synchronize(flags.device);
  for (auto _ : state) {
    if (flags.cold) {
      state.PauseTiming();
      flush_caches();
      state.ResumeTiming();
    }
    if (flags.device.kind == Device::cuda) {  // the GPU's own clock: what it takes to launch is not the kernel's
      Event before(flags.device), after(flags.device);
      before.record();
      c.run(flags.device, buffers.pointers);
      after.record();
      after.wait();
      state.SetIterationTime(after.seconds_since(before));
    } else {
      c.run(flags.device, buffers.pointers);
    }
  }
  state.counters["bytes"] = c.bytes;
  state.counters["flops"] = c.flops;
}

// One line a benchmark: time, bytes, flops, rates, part of the roof. Also as CSV.
class Table : public benchmark::BenchmarkReporter {
 public:
  Table(const Peaks& peaks, const Flags& flags) : peaks_(peaks), flags_(flags) {
    if (!flags.csv.empty()) {
      csv_.emplace(fmt::output_file(flags.csv));
      csv_->print(
          "name,seconds,bytes,flops,gbytes_per_s,gflops,bound,percent_of_roof,copy_peak_gbytes,fma_peak_gflops,commit,"
          "machine,threads,flags,device,cache\n");
    }
  }
  bool ReportContext(const Context&) override {
    fmt::print("{}, {} threads; commit {}; {}\n", cpu_name(), peaks_.threads, build_info().commit, build_info().flags);
    fmt::print(
        "peaks measured now: copy {:.1f} GB/s ({:.0f} MiB buffers), FMA f32 {:.0f} GFLOP/s, bf16 {:.0f} GFLOP/s{}\n\n",
        peaks_.copy_gbytes, peaks_.copy_mib, peaks_.f32_gflops, peaks_.bf16_gflops,
        flags_.cold ? "; caches flushed before each call" : "");
    fmt::print("{:<58} {:>10} {:>9} {:>9} {:>8} {:>8}  {:>11}\n", "case", "time", "MB", "MFLOP", "GB/s", "GFLOP/s",
               "% of roof");
    return true;
  }
  void ReportRuns(const std::vector<Run>& runs) override {
    for (const Run& r : runs) {
      const std::string name = r.run_name.function_name;
      if (r.error_occurred) {
        fmt::print("{:<58} {}\n", name, r.error_message);
        failed = true;
        continue;
      }
      const double seconds = r.real_accumulated_time / static_cast<double>(r.iterations),
                   bytes = r.counters.at("bytes"), flops = r.counters.at("flops");
      const bool half = name.find(" bf16") != name.npos && peaks_.bf16_gflops > 0;
      const double peak = half ? peaks_.bf16_gflops : peaks_.f32_gflops;
      const double memory = bytes / (peaks_.copy_gbytes * 1e9), compute = flops / (peak * 1e9);
      const double roof = 100 * std::max(memory, compute) / seconds;
      const char* bound = memory > compute ? "mem" : "fma";
      fmt::print("{:<58} {:>10} {:>9.2f} {:>9.2f} {:>8.2f} {:>8.1f}  {:>6.1f} {}\n", name, readable(seconds),
                 bytes / 1e6, flops / 1e6, bytes / seconds / 1e9, flops / seconds / 1e9, roof, bound);
      if (csv_)
        csv_->print("\"{}\",{},{},{},{},{},{},{},{},{},{},\"{}\",{},\"{}\",{},{}\n", name, seconds, bytes, flops,
                    bytes / seconds / 1e9, flops / seconds / 1e9, bound, roof, peaks_.copy_gbytes, peak,
                    build_info().commit, cpu_name(), peaks_.threads, build_info().flags, to_string(flags_.device),
                    flags_.cold ? "cold" : "warm");
    }
    std::fflush(stdout);
  }
  bool failed = false;

 private:
  static std::string readable(double s) {
    return s < 1e-3 ? fmt::format("{:.1f} us", s * 1e6) : fmt::format("{:.2f} ms", s * 1e3);
  }
  const Peaks peaks_;
  const Flags flags_;
  std::optional<fmt::ostream> csv_;
};

// Takes holt's own flags out of argv and leaves Google Benchmark's.
Flags take_flags(int& argc, char** argv) {
  Flags flags;
  int kept = 1;
  for (int i = 1; i < argc; ++i) {
    const std::string_view a = argv[i];
    if (a.starts_with("--device="))
      flags.device = parse_device(std::string(a.substr(9)));
    else if (a == "--kernels=own" || a == "--kernels=vendor")
      flags.kernels = a.substr(10);
    else if (a.starts_with("--csv="))
      flags.csv = a.substr(6);
    else if (a == "--cold")
      flags.cold = true;
    else
      argv[kept++] = argv[i];
  }
  argc = kept;
  return flags;
}

int run(int argc, char** argv) {
  const Flags flags = take_flags(argc, argv);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  for (const test::CaseFamily* family : test::families())
    for (const Case& c : family->cases(test::Scope::bench)) {
      for (std::string_view rung : test::rungs_on(c, flags.device)) {
        if (!flags.kernels.empty() && (rung == "vendor") != (flags.kernels == "vendor")) continue;
        const std::string name =
            fmt::format("{} {} {}{}{}", c.op, c.shape, to_string(c.dtype), rung.empty() ? "" : " ", rung);
        auto* b = benchmark::RegisterBenchmark(name.c_str(), [c, rung, flags](benchmark::State& s) {
          try {
            time_case(s, c, rung, flags);
          } catch (const std::exception& e) { s.SkipWithError(e.what()); }
        });
        flags.device.kind == Device::cuda ? b->UseManualTime() : b->UseRealTime();
      }
    }
  Table table(measure_device_peaks(flags.device), flags);
  return benchmark::RunSpecifiedBenchmarks(&table) == 0 || table.failed;
}

}  // namespace
}  // namespace holt::bench

int main(int argc, char** argv) {
  try {
    return holt::bench::run(argc, argv);
  } catch (const std::exception& e) {
    fmt::print(stderr, "holt_bench: {}\n", e.what());
    return 1;
  }
}
