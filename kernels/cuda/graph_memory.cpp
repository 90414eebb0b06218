#include "kernels/cuda/graph_memory.h"

#include <unordered_map>

#include "kernels/cuda/pool.h"
#include "kernels/memory_limit.h"

namespace holt::cuda {
namespace {

struct Serving {
  GraphMemory* memory = nullptr;
  Device device = {};
  bool fixed = false;
  std::vector<std::pair<Device, void*>> kept = {};  // freed by others while a stream was captured
};
thread_local Serving serving;

// Which graph's memory a block is of, and its size. A block in use keeps the memory alive.
struct Owner {
  std::shared_ptr<GraphMemory> memory;
  size_t bytes;
};
struct Registry {
  std::mutex mutex;
  std::unordered_map<void*, Owner> in_use;
};
Registry& registry() {  // never destroyed: tensors may outlive everything
  static auto& r = *new Registry;
  return r;
}

}  // namespace

int& recording_gpu() {
  thread_local int gpu = -1;
  return gpu;
}

void check_not_recording(const char* what, const char* why) {
  check(recording_gpu() < 0, "graph: {} while a graph is recorded: {}", what, why);
}

GraphMemory::Scope::Scope(GraphMemory& m, bool fixed) { serving = {&m, m.device_, fixed, {}}; }
GraphMemory::Scope::~Scope() {
  for (const auto& [device, p] : serving.kept) pool_deallocate(device, p);
  serving = {};
}

GraphMemory* GraphMemory::current(Device d) { return serving.device == d ? serving.memory : nullptr; }

size_t GraphMemory::rounded(size_t bytes) {
  size_t step = 512;
  while (step * 32 < bytes) step *= 2;
  return (bytes + step - 1) / step * step;
}

GraphMemory::~GraphMemory() {
  for (const auto& [size, blocks] : free_)
    for (void* p : blocks) pool_deallocate(device_, p);
}

void* GraphMemory::allocate(size_t bytes) {
  const size_t size = rounded(bytes);
  void* p = nullptr;
  {
    const std::lock_guard lock(mutex_);
    auto& free = free_[size];
    if (!free.empty()) {
      p = free.back();
      free.pop_back();
    } else {
      free.reserve(free.capacity() + 1);  // so that taking a block back cannot fail
    }
  }
  if (!p) {
    check(!serving.fixed,
          "graph: {} are taken on {} that the run before did not take, while a graph is recorded: the work must be the "
          "same every time (shapes, branches), and memory that it took must not be held between runs",
          detail::format_bytes(bytes), device_);
    p = pool_allocate(device_, size);
  }
  const std::lock_guard lock(registry().mutex);
  registry().in_use[p] = {shared_from_this(), size};
  return p;
}

bool GraphMemory::deallocate(Device d, void* p) noexcept {
  std::unique_lock lock(registry().mutex);
  const auto found = registry().in_use.find(p);
  if (found != registry().in_use.end()) {
    const Owner owner = std::move(found->second);
    registry().in_use.erase(found);
    lock.unlock();
    const std::lock_guard own(owner.memory->mutex_);
    owner.memory->free_[owner.bytes].push_back(p);
    return true;
  }
  if (!serving.fixed) return false;
  serving.kept.emplace_back(d, p);
  return true;
}

}  // namespace holt::cuda
