// The host's allocator, and the choice between the three.
//
// Host blocks come in size classes, 16 to an octave (at most 6.25 % of a block is waste; classes below 1 KiB are
// multiples of 64 bytes), and return to their class's free list: a loop that repeats its allocations finds every block
// again, its pages mapped. Blocks of 2 MiB and more are aligned to huge pages and ask for them: one fault in place of
// 512, and fewer TLB misses.
#include "kernels/memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <mutex>
#include <vector>

#include "kernels/cuda_backend.h"
#include "kernels/memory_limit.h"
#include "kernels/parallel.h"
#include "kernels/simt/memory.h"
#include "kernels/stream.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else  // what a block's user may not touch is told to AddressSanitizer, where there is one
#define ASAN_POISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#endif

namespace holt {
namespace {

constexpr size_t kAlignment = 64, kHugePage = size_t{2} << 20;

struct SizeClass {
  size_t index, bytes;
};

// Classes 1 … 16 hold 64, 128, … 1024 bytes; then 16 for each doubling.
SizeClass size_class(size_t bytes) {
  if (bytes <= 16 * kAlignment) {
    const size_t index = std::max<size_t>(1, (bytes + kAlignment - 1) / kAlignment);
    return {index, index * kAlignment};
  }
  const int octave = std::bit_width(bytes - 1) - 1;  // 2^octave < bytes ≤ 2^(octave+1)
  const size_t step = size_t{1} << (octave - 4);
  const size_t steps = (bytes + step - 1) / step;  // 17 … 32
  return {static_cast<size_t>(octave - 10) * 16 + steps, steps * step};
}

// What both host allocators count.
struct Counters {
  Device device;
  MemoryStats stats = {};
  void take(size_t bytes) {
    detail::note_request(device, bytes);
    stats.current += bytes;
    stats.peak = std::max(stats.peak, stats.current);
  }
  bool fits(size_t more) const {
    const size_t limit = detail::memory_limit(device).bytes, held = stats.current + stats.cached;
    return held <= limit && more <= limit - held;
  }
  [[noreturn]] void fail(size_t request, size_t rounded) const {
    detail::fail_out_of_memory(device, request, stats,
                               fits(rounded) ? "the system has no more" : detail::memory_limit(device).reason);
  }
};

class HostAllocator {
 public:
  void* allocate(size_t bytes) {
    const std::lock_guard lock(mutex_);
    if (bytes > detail::memory_limit(Device::cpu).bytes) counters_.fail(bytes, bytes);
    const SizeClass c = size_class(bytes);
    void* p = nullptr;
    Class& k = classes_[c.index];
    if (!k.free.empty()) {
      p = k.free.back();
      k.free.pop_back();
      counters_.stats.cached -= c.bytes;
    } else {
      if (k.blocks == k.free.capacity()) k.free.reserve(2 * k.blocks + 8);  // so that deallocate() cannot fail
      p = from_system(c.bytes);
      if (!p) {
        release();
        p = from_system(c.bytes);
      }
      if (!p) counters_.fail(bytes, c.bytes);
      ++k.blocks;
      ++counters_.stats.system_allocations;
    }
    counters_.take(c.bytes);
    ASAN_POISON_MEMORY_REGION(p, c.bytes);
    ASAN_UNPOISON_MEMORY_REGION(p, bytes);
    return p;
  }

  void deallocate(void* p, size_t bytes) noexcept {
    const std::lock_guard lock(mutex_);
    const SizeClass c = size_class(bytes);
    ASAN_POISON_MEMORY_REGION(p, c.bytes);
    classes_[c.index].free.push_back(p);
    counters_.stats.current -= c.bytes;
    counters_.stats.cached += c.bytes;
  }

  MemoryStats stats() {
    const std::lock_guard lock(mutex_);
    return counters_.stats;
  }
  void reset_peak() {
    const std::lock_guard lock(mutex_);
    counters_.stats.peak = counters_.stats.current;
  }
  void release_cached() {
    const std::lock_guard lock(mutex_);
    release();
  }

 private:
  struct Class {
    std::vector<void*> free;
    size_t blocks = 0;  // free or in use
  };

  void* from_system(size_t bytes) {
    if (!counters_.fits(bytes)) return nullptr;
    const bool huge = bytes >= kHugePage;
    const size_t alignment = huge ? kHugePage : kAlignment;
    void* p = std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
    if (p && huge) madvise(p, bytes, MADV_HUGEPAGE);  // advice: where it is refused, small pages serve
    return p;
  }
  void release() {
    for (Class& k : classes_) {
      for (void* p : k.free) std::free(p);
      k.blocks -= k.free.size();
      k.free.clear();
    }
    counters_.stats.cached = 0;
  }

  std::mutex mutex_;
  std::array<Class, 38 * 16> classes_;
  Counters counters_{Device::cpu};
};

// Every block is new and goes back at once, so that a fault in a kernel shows where it happens.
class SimtAllocator {
 public:
  void* allocate(size_t bytes) {
    void* p = nullptr;
    const std::lock_guard lock(mutex_);
    if (counters_.fits(bytes)) p = simt::allocate(bytes);
    if (!p) counters_.fail(bytes, bytes);
    ++counters_.stats.system_allocations;
    counters_.take(bytes);
    return p;
  }
  void deallocate(void* p, size_t bytes) noexcept {
    const std::lock_guard lock(mutex_);
    simt::deallocate(p, bytes);
    counters_.stats.current -= bytes;
  }
  MemoryStats stats() {
    const std::lock_guard lock(mutex_);
    return counters_.stats;
  }
  void reset_peak() {
    const std::lock_guard lock(mutex_);
    counters_.stats.peak = counters_.stats.current;
  }

 private:
  std::mutex mutex_;
  Counters counters_{Device::simt};
};

// Never destroyed: tensors with static lifetime may be freed after everything else.
HostAllocator& host() {
  static auto& a = *new HostAllocator;
  return a;
}
SimtAllocator& emulated() {
  static auto& a = *new SimtAllocator;
  return a;
}

}  // namespace

void* allocate(Device d, size_t bytes) {
  if (d.kind == Device::cpu) return host().allocate(bytes);
  if (d.kind == Device::simt) return emulated().allocate(bytes);
  if constexpr (kHasCuda)
    return cuda::allocate(d, bytes);
  else
    fail("allocate: {}: {}", d, cuda_missing_reason());
}

void deallocate(Device d, void* p, size_t bytes) noexcept {
  if (!p) return;
  if (d.kind == Device::cpu) return host().deallocate(p, bytes);
  if (d.kind == Device::simt) return emulated().deallocate(p, bytes);
  if constexpr (kHasCuda) cuda::deallocate(d, p, bytes);
}

MemoryStats memory_stats(Device d) {
  if (d.kind == Device::cpu) return host().stats();
  if (d.kind == Device::simt) return emulated().stats();
  if constexpr (kHasCuda)
    return cuda::memory_stats(d);
  else
    fail("memory_stats: {}: {}", d, cuda_missing_reason());
}

void reset_peak(Device d) {
  if (d.kind == Device::cpu) return host().reset_peak();
  if (d.kind == Device::simt) return emulated().reset_peak();
  if constexpr (kHasCuda)
    cuda::reset_peak(d);
  else
    fail("reset_peak: {}: {}", d, cuda_missing_reason());
}

void release_cached(Device d) {
  if (d.kind == Device::cpu) return host().release_cached();
  if (d.kind == Device::simt) return;
  if constexpr (kHasCuda)
    cuda::release_cached(d);
  else
    fail("release_cached: {}: {}", d, cuda_missing_reason());
}

void copy_bytes(Device to, void* dst, Device from, const void* src, size_t bytes) {
  if (bytes == 0) return;
  if (to.kind == Device::cuda || from.kind == Device::cuda) {
    if constexpr (kHasCuda)
      return cuda::copy_bytes(to, dst, from, src, bytes);
    else
      fail("copy_bytes: {} to {}: {}", from, to, cuda_missing_reason());
  }
  constexpr int64_t line = 64;
  const int64_t lines = static_cast<int64_t>((bytes + line - 1) / line);
  parallel_for(lines, line / 4, [&](int64_t begin, int64_t end) {
    const size_t first = static_cast<size_t>(begin * line), last = std::min(static_cast<size_t>(end * line), bytes);
    std::memcpy(static_cast<char*>(dst) + first, static_cast<const char*>(src) + first, last - first);
  });
}

}  // namespace holt
