#include "kernels/cuda/cudnn.h"

#include <cuda_runtime_api.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string_view>
#include <unordered_map>

#include "kernels/cuda/cudnn_graph.h"
#include "kernels/cuda/cudnn_library.h"
#include "kernels/cuda/cudnn_plan_file.h"
#include "kernels/cuda/runtime.h"
#include "kernels/environment.h"
#include "kernels/hash.h"
#include "kernels/memory.h"
#include "kernels/stream.h"
#include "kernels/tf32.h"

namespace holt::cudnn {
namespace {

using Key = std::array<int64_t, 18>;
Key key_of(const Problem& p) {
  const Conv2d& c = p.conv;
  return {static_cast<int64_t>(p.direction),
          static_cast<int64_t>(p.dtype),
          c.n,
          c.h,
          c.w,
          c.cin,
          c.cout,
          c.kh,
          c.kw,
          c.stride_h,
          c.stride_w,
          c.pad_h,
          c.pad_w,
          c.dilation_h,
          c.dilation_w,
          c.groups,
          c.relu + 2 * p.bias,
          p.tf32};
}

bool timing_wanted() {
  return environment_switch(
      "HOLT_CUDNN_TIMING",
      "HOLT_CUDNN_TIMING: expected 0 (cuDNN's heuristics choose) or 1 (the fastest of several, timed), got '{}'");
}

// Seconds of one run: the least of five, after one to warm up. The output is written each time, with what the caller
// asked for.
double seconds_of(const Plan& plan, Cuda gpu, cudnnContext* h, const Tensors& t) {
  const Workspace workspace(gpu, static_cast<size_t>(plan.workspace()));
  plan.execute(h, t, workspace.as<void>());
  double least = std::numeric_limits<double>::infinity();
  for (int i = 0; i < 5; ++i) {
    Event begin(device_of(gpu)), end(device_of(gpu));
    begin.record();
    plan.execute(h, t, workspace.as<void>());
    end.record();
    end.wait();
    least = std::min(least, end.seconds_since(begin));
  }
  return least;
}

// The fastest; null if none runs.
const Plan* fastest(const std::vector<Plan>& plans, Cuda gpu, cudnnContext* h, const Tensors& t) {
  const Plan* best = nullptr;
  double least = std::numeric_limits<double>::infinity();
  for (const Plan& p : plans) try {
      if (const double s = seconds_of(p, gpu, h, t); s < least) best = &p, least = s;
    } catch (const Error&) {}  // an engine that does not run, or whose workspace there is no room for
  return best;
}

// The plans of one GPU. A problem without a Plan runs on the own kernel.
class Plans {
 public:
  /// The plan for `p`, made or loaded if need be.
  std::optional<Plan> get(Cuda gpu, const Problem& p, const Tensors& t) {
    const Key key = key_of(p);
    {
      const std::shared_lock lock(mutex_);
      if (const auto found = settled_.find(key); found != settled_.end()) return found->second;
    }
    const std::string text = to_string(p);
    check(!cuda::capturing(gpu),
          "{}: cuDNN has no plan yet, and planning while a stream is captured into a graph is not "
          "possible; run one warm-up step before the capture",
          text);
    const std::unique_lock lock(mutex_);
    if (const auto found = settled_.find(key); found != settled_.end()) return found->second;
    if (!opened_) open(gpu.index);
    std::optional<Plan> plan = settle(gpu, p, text, t);
    settled_.emplace(key, plan);
    return plan;
  }

  void forget() {
    const std::unique_lock lock(mutex_);
    save();
    settled_.clear();
    kept_.clear();
    opened_ = false;
  }
  void save_now() {
    const std::unique_lock lock(mutex_);
    save();
  }
  PlanCounts counts() {
    const std::shared_lock lock(mutex_);
    return counts_;
  }

 private:
  void open(int8_t index) {
    gpu_ = gpu_name(index);
    path_ = plan_path(gpu_);
    kept_ = read_plans(path_, version_text(), gpu_);
    opened_ = true;
  }

  std::optional<Plan> settle(Cuda gpu, const Problem& p, const std::string& text, const Tensors& t) {
    cudnnContext* const h = handle(gpu, text.c_str());
    std::optional<Plan> plan;
    if (const auto kept = kept_.find(text); kept != kept_.end() && good_enough(kept->second.source)) {
      try {
        if (kept->second.source != Source::own) plan = load_plan(p, Target(h), kept->second.json);
        ++counts_.loaded;
        counts_.own += !plan;
        return plan;
      } catch (const Error& e) { std::fprintf(stderr, "holt: %s. It is planned anew.\n", e.message().c_str()); }
    }
    const bool timed = timing_wanted();
    const std::vector<Plan> plans = make_plans(p, Target(h), timed ? 8 : 1);
    const Plan* const best = plans.empty() ? nullptr : timed ? fastest(plans, gpu, h, t) : &plans.front();
    KeptPlan keep{Source::own, "", 0, plans.empty() ? "cuDNN offers no engine for it" : "no engine of cuDNN runs it"};
    if (best) {
      plan = *best;
      keep = {timed ? Source::timed : Source::heuristic, best->engine(), best->workspace(), best->json()};
    }
    ++counts_.planned;
    counts_.own += !plan;
    kept_.insert_or_assign(text, std::move(keep));
    unsaved_ = true;
    // A training step's first pass plans dozens: one write for all that come within a moment.
    if (std::chrono::steady_clock::now() - saved_ > std::chrono::seconds(2)) save();
    return plan;
  }

  // Heuristics' choices are not kept from being timed.
  static bool good_enough(Source s) { return s != Source::heuristic || !timing_wanted(); }

  // A cache that cannot be written costs time at the next start, nothing else: one note.
  void save() {
    if (!unsaved_ || path_.empty()) return;
    unsaved_ = false;
    saved_ = std::chrono::steady_clock::now();
    try {
      write_plans(path_, {version_text(), gpu_, kept_});
    } catch (const std::exception& e) {
      if (!noted_) std::fprintf(stderr, "holt: cuDNN's plans are not kept: %s\n", e.what());
      noted_ = true;
    }
  }

  std::shared_mutex mutex_;
  std::unordered_map<Key, std::optional<Plan>, IntegersHash> settled_;
  std::map<std::string, KeptPlan> kept_;  // what the file holds, and what is new
  std::string gpu_, path_;
  PlanCounts counts_;
  bool opened_ = false, unsaved_ = false, noted_ = false;
  std::chrono::steady_clock::time_point saved_{};
};

// Never destroyed; what is unsaved is written at exit.
std::array<Plans, 128>& all_plans() {
  static auto& all = []() -> auto& {
    static auto& made = *new std::array<Plans, 128>;
    std::atexit([] {
      for (Plans& p : made) p.save_now();
    });
    return made;
  }
  ();
  return all;
}

bool run(Cuda gpu, const Problem& p, const Tensors& t) {
  constexpr int64_t kMostElements = std::numeric_limits<int32_t>::max();
  const Conv2d& c = p.conv;
  for (const int64_t size : {c.x_size(), c.w_size(), c.y_size()})
    if (size == 0 || size > kMostElements) return false;
  for (const void* pointer : {t.x, t.w, t.bias, t.y})
    if (reinterpret_cast<uintptr_t>(pointer) % 16 != 0) return false;
  if (c.relu && !p.bias) return false;
  if (!library().ready()) return false;
  const std::optional<Plan> plan = all_plans()[static_cast<size_t>(gpu.index)].get(gpu, p, t);
  if (!plan) return false;
  cudnnContext* const h = handle(gpu, "conv2d");
  if (plan->workspace() == 0) {
    plan->execute(h, t, nullptr);
  } else {
    const Workspace workspace(gpu, static_cast<size_t>(plan->workspace()));
    plan->execute(h, t, workspace.as<void>());
  }
  return true;
}

bool tf32(DType t) { return t == DType::f32 && tf32_allowed(); }

}  // namespace

bool conv2d_forward(Cuda gpu, DType t, const Conv2d& c, const void* x, const void* w, const void* bias, void* y) {
  return run(gpu, {Direction::forward, t, c, bias != nullptr, tf32(t)}, {x, w, bias, y});
}

bool conv2d_backward_data(Cuda gpu, DType t, const Conv2d& c, const void* dy, const void* w, void* dx) {
  Problem p{Direction::backward_data, t, c, false, tf32(t)};
  p.conv.relu = false;
  return run(gpu, p, {dx, w, nullptr, dy});
}

bool conv2d_backward_weights(Cuda gpu, DType t, const Conv2d& c, const void* dy, const void* x, void* dw) {
  Problem p{Direction::backward_weights, t, c, false, tf32(t)};
  p.conv.relu = false;
  return run(gpu, p, {x, dw, nullptr, dy});
}

PlanCounts plan_counts() {
  PlanCounts sum;
  for (Plans& p : all_plans()) {
    const PlanCounts c = p.counts();
    sum.planned += c.planned, sum.loaded += c.loaded, sum.own += c.own;
  }
  return sum;
}

std::string library_text() {
  return library().found() ? format("{}, {}", version_text(), library().path()) : library().missing();
}

void forget_plans() {
  for (Plans& p : all_plans()) p.forget();
}

}  // namespace holt::cudnn
