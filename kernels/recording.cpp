#include "kernels/recording.h"

#include "kernels/error.h"

namespace holt {
namespace {
thread_local Recording* mine = nullptr;
}

Recording* Recording::current() { return mine; }
Recording::Scope::Scope(Recording& r) { mine = &r; }
Recording::Scope::~Scope() { mine = nullptr; }

void Recording::start(void* device) {
  device_ = static_cast<std::byte*>(device);
  used_ = 0;
  host_.assign(needed_, std::byte{0});
  actions_.clear();
}

void* Recording::place(size_t bytes) {
  const size_t first = used_;
  used_ += (bytes + 15) / 16 * 16;
  if (!records()) {
    needed_ = used_;
    return nullptr;
  }
  check(used_ <= needed_,
        "graph: the work needs {} bytes of numbers, and needed {} when it ran before it was recorded: it must do the "
        "same every time",
        used_, needed_);
  return device_ + first;
}

void* Recording::host(void* place) { return host_.data() + (static_cast<std::byte*>(place) - device_); }

void Recording::before_replay(std::function<void()> action) { actions_.push_back(std::move(action)); }

const std::vector<std::byte>& Recording::refresh() {
  for (const auto& action : actions_) action();
  return host_;
}

const void* recorded_constant(const void* bytes, size_t count) {
  Recording* const r = Recording::current();
  void* const p = r ? r->place(count) : nullptr;
  if (p) std::memcpy(r->host(p), bytes, count);
  return p;
}

bool recorded_action(std::function<void()> action) {
  Recording* const r = Recording::current();
  if (!r || !r->records()) return false;
  r->before_replay(std::move(action));
  return true;
}

}  // namespace holt
