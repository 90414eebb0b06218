#include "state.h"

#include <atomic>
#include <cstdlib>

namespace holt_double {
namespace {

int from_environment(const char* name, int otherwise) {
  const char* value = std::getenv(name);
  return value ? std::atoi(value) : otherwise;
}

}  // namespace

State::State() : driver(from_environment("HOLT_DOUBLE_DRIVER", CUDART_VERSION)) {
  const int count = driver < runtime ? 0 : from_environment("HOLT_DOUBLE_DEVICES", 2);
  for (int i = 0; i < count; ++i) {
    gpus.push_back(std::make_unique<Gpu>(i));
    gpus.back()->legacy = std::make_shared<Stream>(Stream{.device = i, .blocking = true});
    pools.insert(&gpus.back()->default_pool);
  }
}

// Never destroyed: memory with static lifetime is freed after everything else.
State& state() {
  static auto& s = *new State;
  return s;
}

uint64_t thread_number() {
  static std::atomic<uint64_t> next{0};
  thread_local const uint64_t mine = next++;
  return mine;
}
int& current_device() {
  thread_local int device = 0;
  return device;
}
bool device_exists(int index) { return index >= 0 && index < static_cast<int>(state().gpus.size()); }

const Allocation* device_range(const void* p, size_t bytes) {
  const auto address = reinterpret_cast<uintptr_t>(p);
  auto& all = state().allocations;
  auto next = all.upper_bound(address);
  if (next == all.begin()) return nullptr;
  const auto& [first, a] = *--next;
  return address - first <= a.bytes && bytes <= a.bytes - (address - first) ? &a : nullptr;
}

bool pinned_range(const void* p, size_t bytes) {
  const auto address = reinterpret_cast<uintptr_t>(p);
  auto& all = state().pinned;
  auto next = all.upper_bound(address);
  if (next == all.begin()) return false;
  const auto& [first, size] = *--next;
  return address - first <= size && bytes <= size - (address - first);
}

bool in_device_space(const void* p) {
  for (const auto& gpu : state().gpus)
    if (gpu->arena.contains(p)) return true;
  return false;
}

}  // namespace holt_double

using namespace holt_double;

extern "C" {

void holt_double_set_total_memory(size_t bytes) {
  const std::lock_guard lock(state().lock);
  state().total_memory = bytes;
}
size_t holt_double_live_allocations() {
  const std::lock_guard lock(state().lock);
  return state().allocations.size();
}
size_t holt_double_live_pinned() {
  const std::lock_guard lock(state().lock);
  return state().pinned.size();
}
size_t holt_double_live_handles() {
  const std::lock_guard lock(state().lock);
  State& s = state();
  return s.streams.size() + s.events.size() + s.graphs.size() + s.executables.size();
}
}
