#include "kernels/stream.h"

#include <chrono>
#include <utility>

#include "kernels/cuda_backend.h"

namespace holt {
namespace {
thread_local uint64_t simt_schedule = 0;
}

Simt current_simt() { return {simt_schedule}; }

SimtSchedule::SimtSchedule(uint64_t seed) : previous_(std::exchange(simt_schedule, seed)) {}
SimtSchedule::~SimtSchedule() { simt_schedule = previous_; }

void synchronize(Device d) {
  if (d.kind != Device::cuda) return;
  if constexpr (kHasCuda)
    cuda::synchronize(d);
  else
    fail("synchronize: {}: {}", d, cuda_missing_reason());
}

struct Event::State {
  Device device;
  bool recorded = false;
  std::chrono::steady_clock::time_point time = {};  // cpu and simt: work is done when its call returns
  CUevent_st* event = nullptr;                      // cuda

  explicit State(Device d) : device(d) {}
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() {
    if constexpr (kHasCuda)
      if (event) cuda::destroy_event(event);
  }
};

Event::Event(Device d) : state_(new State(d)) {
  if (d.kind != Device::cuda) return;
  if constexpr (kHasCuda)
    state_->event = cuda::create_event(d);
  else
    fail("Event: {}: {}", d, cuda_missing_reason());
}
Event::~Event() = default;
Event::Event(Event&&) noexcept = default;
Event& Event::operator=(Event&&) noexcept = default;

void Event::record() {
  if constexpr (kHasCuda)
    if (state_->event) cuda::record_event(state_->device, state_->event);
  state_->time = std::chrono::steady_clock::now();
  state_->recorded = true;
}

void Event::wait() const {
  check(state_->recorded, "Event: wait() before record()");
  if constexpr (kHasCuda)
    if (state_->event) cuda::wait_event(state_->event);
}

double Event::seconds_since(const Event& earlier) const {
  check(state_->recorded && earlier.state_->recorded, "Event: seconds_since() needs both events recorded");
  check(state_->device == earlier.state_->device, "Event: seconds_since() needs events of one device, got {} and {}",
        earlier.state_->device, state_->device);
  if constexpr (kHasCuda)
    if (state_->event) return cuda::seconds_between(earlier.state_->event, state_->event);
  return std::chrono::duration<double>(state_->time - earlier.state_->time).count();
}

}  // namespace holt
