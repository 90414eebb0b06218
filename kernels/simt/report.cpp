// What the emulator says when a kernel is wrong.
#include <algorithm>
#include <atomic>
#include <cstring>

#include "kernels/simt/atomics.h"
#include "kernels/simt/sanitizers.h"
#include "kernels/simt/scheduler.h"

namespace holt::simt {
namespace {

std::string place(const Site& s) {
  const char* name = std::strrchr(s.file_name(), '/');
  return format("{}:{}", name ? name + 1 : s.file_name(), s.line());
}

// "__shfl_sync with mask 0x0000ffff at softmax.cu:31"
std::string call_of(const Thread& t) {
  return format("{}{} at {}", t.primitive, t.mask ? " with mask " + hex(t.mask) : "", place(t.site));
}

}  // namespace

std::string hex(unsigned x) { return format("{:#010x}", uint64_t{x}); }

std::string Scheduler::block_name() const {
  return format("simt: kernel '{}' block ({},{},{})", launch_->kernel, blockIdx.x, blockIdx.y, blockIdx.z);
}

std::string Scheduler::thread_name(unsigned thread) const {
  const uint3 i = threads_[thread].index;
  return format("thread ({},{},{})", i.x, i.y, i.z);
}

Error Scheduler::failure(const std::string& what, Site site) const { return Error(block_name() + ": " + what, site); }

// "threads 0-15,32 <label>; thread 16 <label>": those for which label(t) is not empty, together if they share it.
template <class Label>
std::string Scheduler::grouped(Label label) const {
  std::vector<std::pair<std::string, std::vector<unsigned>>> groups;
  for (unsigned t = 0; t < count_; ++t) {
    const std::string l = label(threads_[t]);
    if (l.empty()) continue;
    auto g = std::find_if(groups.begin(), groups.end(), [&](const auto& x) { return x.first == l; });
    if (g == groups.end()) g = groups.insert(g, {l, {}});
    g->second.push_back(t);
  }
  // Threads are numbered as CUDA numbers them, x fastest; a block of one dimension needs no more.
  const bool flat = indexed_.y == 1 && indexed_.z == 1;
  auto name = [&](unsigned t) {
    const uint3 i = threads_[t].index;
    return flat ? format("{}", t) : format("({},{},{})", i.x, i.y, i.z);
  };
  std::string text;
  for (const auto& [what, threads] : groups) {
    text += text.empty() ? "" : "; ";
    text += threads.size() == 1 ? "thread " : "threads ";
    constexpr size_t kMostRanges = 8;
    size_t ranges = 0;
    for (size_t i = 0; i < threads.size(); ++ranges) {
      size_t j = i;
      while (j + 1 < threads.size() && threads[j + 1] == threads[j] + 1) ++j;
      if (ranges == kMostRanges) {
        text += format(" and {} more", threads.size() - i);
        break;
      }
      text += ranges ? "," : "";
      text += j > i ? format("{}-{}", name(threads[i]), name(threads[j])) : name(threads[i]);
      i = j + 1;
    }
    text += " " + what;
  }
  return text;
}

std::string Scheduler::waiting_threads() const {
  return grouped(
      [](const Thread& t) { return t.state == Thread::waiting || t.at_barrier ? "in " + call_of(t) : std::string(); });
}

std::string Scheduler::all_threads() const {
  return grouped([&](const Thread& t) -> std::string {
    if (&t == &threads_[current_]) return "running";
    if (t.state == Thread::unstarted) return "not started";
    if (t.state == Thread::finished) return "done";
    return (t.state == Thread::waiting ? "waiting in " : "free to leave ") + call_of(t);
  });
}

std::string this_block() {
  const Scheduler* s = Scheduler::current();
  return s ? s->block_name() : "simt: outside of a kernel";
}

std::string here() {
  const Scheduler* s = Scheduler::current();
  return s ? s->block_name() + ": " + s->thread_name(s->thread_number()) : this_block();
}

void memory_fence() {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  // To ThreadSanitizer a fence is nothing: order every fence before every later one instead.
  static uint64_t fences = 0;
  race_release(&fences);
  race_acquire(&fences);
}

void* shared_variable(const void* key, std::string_view name, size_t bytes, size_t alignment) {
  Scheduler* s = Scheduler::current();
  if (!s) fail("simt: shared memory '{}' was used outside of a kernel", name);
  const RaceBlind blind;
  return s->shared().variable(key, name, bytes, alignment);
}

void* dynamic_shared() {
  Scheduler* s = Scheduler::current();
  if (!s) fail("simt: dynamic shared memory was used outside of a kernel");
  return s->shared().dynamic();
}

std::string threads() {
  const Scheduler* s = Scheduler::current();
  return s ? s->block_name() + ": " + s->all_threads() : this_block();
}

}  // namespace holt::simt
