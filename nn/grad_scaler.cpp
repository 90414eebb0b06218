#include "nn/grad_scaler.h"

#include <cmath>
#include <cstddef>
#include <limits>

#include "core/ops.h"
#include "kernels/memory.h"
#include "kernels/optimizer.h"
#include "nn/state.h"

namespace holt::nn {
namespace {

static_assert(sizeof(LossScale) == 3 * sizeof(float) && offsetof(LossScale, scale) == 0);

constexpr double kMost = 0x1p24;

void write(const Tensor& state, const LossScale& s) {
  copy_bytes(state.device(), state.raw(), Device::cpu, &s, sizeof s);
  state.bump_version();
}

LossScale read(const Tensor& state) {
  LossScale s;
  copy_bytes(Device::cpu, &s, state.device(), state.raw(), sizeof s);
  return s;
}

bool possible(double scale) { return scale >= 1 / kMost && scale <= kMost; }

}  // namespace

GradScaler::GradScaler(Device device, GradScalerOptions o) : options_(o), state_(empty({3}, DType::f32, device)) {
  check(possible(o.scale), "GradScaler: scale must be 2^-24 … 2^24, got {}", o.scale);
  check(o.growth >= 1 && std::isfinite(o.growth), "GradScaler: growth must be at least 1, got {}", o.growth);
  check(o.backoff > 0 && o.backoff <= 1, "GradScaler: backoff must be in (0, 1], got {}", o.backoff);
  check(o.interval >= 1 && o.interval <= std::numeric_limits<int32_t>::max(),
        "GradScaler: interval must be 1 … 2^31 − 1, got {}", o.interval);
  write(state_, {static_cast<float>(o.scale), 0, 0});
}

Tensor GradScaler::scale(const Tensor& loss) const { return mul(loss, state_.narrow(0, 1).reshape({})); }

double GradScaler::current() const { return static_cast<double>(read(state_).scale); }

int64_t GradScaler::skipped() const { return read(state_).skipped; }

State GradScaler::state() const {
  const LossScale s = read(state_);
  const auto count = [](int64_t n) { return from(std::vector<int64_t>{n}, Shape{}); };
  return {
      {"scale", from(std::vector<float>{s.scale}, Shape{})}, {"good", count(s.good)}, {"skipped", count(s.skipped)}};
}

void GradScaler::load_state(const State& source) {
  State own{{"scale", zeros({})}, {"good", zeros({}, DType::i64)}, {"skipped", zeros({}, DType::i64)}};
  copy_into("load_state: the state does not fit this GradScaler", own, source, true);
  const double scale = own.at("scale").item();
  const auto good = own.at("good").to_vector<int64_t>()[0], skipped = own.at("skipped").to_vector<int64_t>()[0];
  constexpr int64_t most = std::numeric_limits<int32_t>::max();
  check(possible(scale) && good >= 0 && good <= most && skipped >= 0 && skipped <= most,
        "load_state: a GradScaler cannot have scale {}, {} good steps, {} skipped ones", scale, good, skipped);
  write(state_, {static_cast<float>(scale), static_cast<int32_t>(good), static_cast<int32_t>(skipped)});
}

LossScale* GradScaler::begin_step(GradNorm& norm) {
  norm.growth = options_.growth;
  norm.backoff = options_.backoff;
  norm.interval = static_cast<int32_t>(options_.interval);
  state_.bump_version();  // a backward that still needs this S must not find the next one
  return static_cast<LossScale*>(state_.raw());
}

}  // namespace holt::nn
