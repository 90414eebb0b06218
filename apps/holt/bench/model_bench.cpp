#include "apps/holt/bench/model_bench.h"

#include <fmt/core.h>
#include <omp.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "apps/holt/bench/op_profile.h"
#include "apps/holt/bench/process_memory.h"
#include "core/autocast.h"
#include "core/inference.h"
#include "core/json.h"
#include "core/ops.h"
#include "kernels/build_info.h"
#include "kernels/file.h"
#include "kernels/memory.h"
#include "kernels/peaks.h"
#include "nn/models/registry.h"
#include "nn/optim.h"

namespace holt::app {
namespace {

constexpr double kPeakSeconds = 0.1;  // for each of four numbers, before and after the steps

nn::ModelConfig configuration(const ModelBench& o) {
  nn::ModelConfig c = nn::parse_model(o.model);
  const bool small = c.name == "mlp" || c.name == "lenet" || c.name == "resnet8" || c.name == "resnet20";
  c.channels = small ? 1 : 3;
  c.height = c.width = o.image_size ? o.image_size : small ? 28 : 224;
  c.classes = o.classes ? o.classes : small ? 10 : 1000;
  return c;
}

// As `holt train` makes them. A transformer gets AdamW.
std::unique_ptr<nn::Optimizer> optimizer_for(nn::Model& model, bool adamw) {
  const std::vector<nn::ParameterGroup> groups = nn::decay_groups(model.named_parameters());
  if (adamw) return std::make_unique<nn::AdamW>(groups, nn::AdamWOptions{.lr = 1e-4, .weight_decay = 0.05});
  return std::make_unique<nn::SGD>(groups, nn::SGDOptions{.lr = 1e-3, .momentum = 0.9, .weight_decay = 1e-4});
}

// One network on one batch of noise.
class Bench {
 public:
  explicit Bench(const ModelBench& o) : options_(o), config_(configuration(o)) {
    Generator g(0);
    model_ = nn::make_model(config_, g);
    adamw_ = o.model.starts_with("vit") || o.model.starts_with("clip");
    if (o.inference)
      model_->eval();
    else
      optimizer_ = optimizer_for(*model_, adamw_);
    images_ = normal({o.batch, config_.height, config_.width, config_.channels}, 0, 1, g);
    std::vector<int64_t> labels(static_cast<size_t>(o.batch));
    for (size_t i = 0; i < labels.size(); ++i) labels[i] = static_cast<int64_t>(i) * 7 % config_.classes;
    labels_ = from(labels, Shape{o.batch});
  }

  // Seconds. What it does is what nn::train_step and nn::evaluate do for a batch.
  double step(OpProfile* profile = nullptr) {
    if (profile) profile->start();
    Stopwatch watch(options_.processor_time);
    if (options_.inference) {
      (*model_)(images_);
    } else {
      train(profile);
    }
    return watch.lap();
  }

  const nn::ModelConfig& config() const { return config_; }
  int64_t parameters() const { return model_->parameter_count(); }

 private:
  void train(OpProfile* profile) {
    const Tensor loss = cross_entropy((*model_)(images_), labels_);
    const double value = loss.item();
    check(std::isfinite(value), "bench: the loss became {}", value);
    model_->zero_grad();
    loss.backward();
    optimizer_->step();
    // Each element of parameter, gradient and what stands beside (one momentum, two moments) is read, all but the
    // gradient written.
    if (profile) profile->event("optimizer", {.bytes = (adamw_ ? 7.0 : 5.0) * 4 * static_cast<double>(parameters())});
  }

  ModelBench options_;
  nn::ModelConfig config_;
  std::unique_ptr<nn::Model> model_;
  std::unique_ptr<nn::Optimizer> optimizer_;
  Tensor images_, labels_;
  bool adamw_ = false;
};

struct Measured {
  std::vector<double> seconds;  // sorted
  double flops = 0;             // of products, in one step
  size_t tensor_bytes = 0, system_allocations = 0;
  int64_t rss = 0;
  std::vector<std::pair<std::string, OpProfile::Line>> lines;  // of one step
  double profiled_seconds = 0;

  double median() const { return seconds[seconds.size() / 2]; }
};

Measured measure(const ModelBench& o, Bench& bench) {
  Measured m;
  const Autocast scope(o.precision);  // of the whole run, as in training: weights are cast once a step
  std::optional<Inference> evaluation;
  if (o.inference) evaluation.emplace();
  for (int64_t i = 0; i < o.warmup; ++i) bench.step();
  {  // the step whose products are counted
    OpProfile profile{Stopwatch(o.processor_time)};
    m.profiled_seconds = bench.step(&profile);
    m.lines = profile.lines();
    for (const auto& [name, line] : m.lines) m.flops += line.work.flops;
  }
  reset_peak(Device::cpu);
  const size_t before = memory_stats(Device::cpu).system_allocations;
  for (int64_t i = 0; i < o.steps; ++i) m.seconds.push_back(bench.step());
  m.system_allocations = memory_stats(Device::cpu).system_allocations - before;
  m.tensor_bytes = memory_stats(Device::cpu).peak;
  m.rss = peak_rss();
  if (o.profile) {
    OpProfile profile{Stopwatch(o.processor_time)};
    double seconds = 0;
    for (int64_t i = 0; i < o.steps; ++i) seconds += bench.step(&profile);
    m.profiled_seconds = seconds / static_cast<double>(o.steps);
    m.lines = profile.lines();
    for (auto& [name, line] : m.lines) {
      const auto n = static_cast<double>(o.steps);
      line = {line.seconds / n, {line.work.bytes / n, line.work.flops / n}, line.calls / o.steps};
    }
  }
  std::sort(m.seconds.begin(), m.seconds.end());
  return m;
}

// The roof of a piece of work: as long as memory or arithmetic takes at their measured best.
double roof_seconds(const Work& w, double gflops, double gbytes) {
  return std::max(w.flops / (gflops * 1e9), w.bytes / (gbytes * 1e9));
}

void print_profile(const Measured& m, double gflops, double gbytes) {
  fmt::print("\n{:<32}{:>6}{:>11}{:>8}{:>10}{:>10}{:>10}{:>10}\n", "where the step's time goes", "calls", "ms", "%",
             "MB", "GB/s", "GFLOP/s", "% of roof");
  double sum = 0, roof_sum = 0;
  for (const auto& [name, line] : m.lines) {
    const double roof = roof_seconds(line.work, gflops, gbytes);
    sum += line.seconds;
    roof_sum += roof;
    if (line.seconds < 1e-3 * m.profiled_seconds) continue;
    // A name may hold × (two bytes, one column).
    const auto wide = std::count(name.begin(), name.end(), '\xc3');
    fmt::print("{:<{}}{:>6}{:>11.2f}{:>8.1f}{:>10.0f}{:>10.1f}{:>10.0f}{:>10.0f}\n", name, 32 + wide, line.calls,
               line.seconds * 1e3, 100 * line.seconds / m.profiled_seconds, line.work.bytes * 1e-6,
               line.work.bytes / line.seconds * 1e-9, line.work.flops / line.seconds * 1e-9, 100 * roof / line.seconds);
  }
  fmt::print("{:<32}{:>6}{:>11.2f}{:>8.1f}{:>40.0f}\n", "all", "", sum * 1e3, 100 * sum / m.profiled_seconds,
             100 * roof_sum / sum);
}

nlohmann::json to_json(const ModelBench& o, const Bench& bench, const Measured& m, const Peaks& peaks, double gflops) {
  const double images = static_cast<double>(o.batch);
  nlohmann::json lines = nlohmann::json::array();
  for (const auto& [name, line] : m.lines)
    lines.push_back({{"op", name},
                     {"calls", line.calls},
                     {"seconds", line.seconds},
                     {"bytes", line.work.bytes},
                     {"flops", line.work.flops},
                     {"percent_of_roof", 100 * roof_seconds(line.work, gflops, peaks.copy_gbytes) / line.seconds}});
  return {{"model", o.model},
          {"batch", o.batch},
          {"image_size", bench.config().height},
          {"classes", bench.config().classes},
          {"precision", to_string(o.precision)},
          {"mode", o.inference ? "inference" : "train"},
          {"clock", o.processor_time ? "processor" : "wall"},
          {"threads", peaks.threads},
          {"cpu", cpu_name()},
          {"commit", build_info().commit},
          {"seconds", m.seconds},
          {"images_per_second", images / m.median()},
          {"gflop_per_image", m.flops / images * 1e-9},
          {"gflops", m.flops / m.median() * 1e-9},
          {"peak_f32_gflops", peaks.f32_gflops},
          {"peak_bf16_gflops", peaks.bf16_gflops},
          {"copy_gbytes", peaks.copy_gbytes},
          {"percent_of_peak", 100 * m.flops / m.median() * 1e-9 / gflops},
          {"tensor_bytes", m.tensor_bytes},
          {"peak_rss_bytes", m.rss},
          {"system_allocations", m.system_allocations},
          {"profile", lines}};
}

// Both measurements beside the steps, one before and one after, as a machine's speed drifts.
Peaks mean_of(const Peaks& a, const Peaks& b) {
  Peaks p = a;
  p.f32_gflops = (a.f32_gflops + b.f32_gflops) / 2;
  p.bf16_gflops = (a.bf16_gflops + b.bf16_gflops) / 2;
  p.copy_gbytes = (a.copy_gbytes + b.copy_gbytes) / 2;
  return p;
}

}  // namespace

int bench_model(const ModelBench& o) {
  Bench bench(o);
  const Peaks before = measure_peaks(kPeakSeconds);
  reset_peak_rss();  // the peaks' own buffers are not the network's
  const Measured m = measure(o, bench);
  const Peaks peaks = mean_of(before, measure_peaks(kPeakSeconds));
  // Products run in the precision where the processor has it, else in f32.
  const bool half = o.precision == DType::bf16 && peaks.bf16_gflops > 0 && computes_natively(Device::cpu, DType::bf16);
  const double gflops = half ? peaks.bf16_gflops : peaks.f32_gflops, images = static_cast<double>(o.batch);

  const nn::ModelConfig& c = bench.config();
  fmt::print("{}, {:.1f} M parameters, batch {}×{}×{}×{}, {}, {}\n", o.model,
             static_cast<double>(bench.parameters()) * 1e-6, o.batch, c.height, c.width, c.channels,
             to_string(o.precision), o.inference ? "inference" : "training step");
  fmt::print("{}, {} threads; holt {} ({})\n\n", cpu_name(), peaks.threads, build_info().version, build_info().commit);
  fmt::print("peaks now   {:.0f} GFLOP/s {}, {:.1f} GB/s copied\n", gflops, half ? "bf16" : "f32", peaks.copy_gbytes);
  fmt::print("step        median {:.1f} ms, fastest {:.1f} ms, of {}{}\n", m.median() * 1e3, m.seconds[0] * 1e3,
             o.steps, o.processor_time ? "; processor time" : "");
  fmt::print("images/s    {:.2f}\n", images / m.median());
  fmt::print("products    {:.1f} GFLOP an image: {:.0f} GFLOP/s, {:.1f} % of the peak\n", m.flops / images * 1e-9,
             m.flops / m.median() * 1e-9, 100 * m.flops / m.median() * 1e-9 / gflops);
  if (std::ranges::any_of(m.lines, [](const auto& line) {
        return line.first.starts_with("conv2d") && line.first.find(" 3×3") != std::string::npos;
      }))
    fmt::print(
        "            by the definition; Winograd's 3×3 convolutions do a third to a quarter (HOLT_WINOGRAD=0: all)\n");
  fmt::print("memory      tensors {:.0f} MB, process {:.0f} MB; blocks asked of the system in the timed steps: {}\n",
             static_cast<double>(m.tensor_bytes) * 1e-6, static_cast<double>(m.rss) * 1e-6, m.system_allocations);
  if (o.profile) print_profile(m, gflops, peaks.copy_gbytes);
  if (!o.json.empty()) write_atomically(o.json, json_text(to_json(o, bench, m, peaks, gflops), 1) + "\n");
  return 0;
}

}  // namespace holt::app
