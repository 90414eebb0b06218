#include "kernels/simt/shared.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>

#include "kernels/error.h"
#include "kernels/simt/guards.h"
#include "kernels/simt/sanitizers.h"
#include "kernels/simt/scheduler.h"

namespace holt::simt {
namespace {

constexpr size_t kArenaBytes = 1 << 20;  // 227 KB of variables and a guard for each; untouched pages cost nothing

}  // namespace

SharedMemory::SharedMemory() {
  void* p = mmap(nullptr, kArenaBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  check(p != MAP_FAILED, "simt: no memory for a block's shared memory");
  base_ = top_ = static_cast<char*>(p);
  poison(base_, kArenaBytes);
}

SharedMemory::~SharedMemory() {
  unpoison(base_, kArenaBytes);
  munmap(base_, kArenaBytes);
}

void SharedMemory::open(size_t dynamic_bytes) {
  // The race checker remembers accesses by address: fresh pages make it forget those of the previous block.
  if (kRace && top_ != base_)
    check(mmap(base_, static_cast<size_t>(top_ - base_), PROT_READ | PROT_WRITE,
               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) != MAP_FAILED,
          "simt: no memory for a block's shared memory");
  top_ = base_;
  variables_.clear();
  static_bytes_ = 0;
  dynamic_bytes_ = dynamic_bytes;
  dynamic_ = place(dynamic_bytes, 16);
}

void SharedMemory::close(bool quietly) {
  if constexpr (kAsan)
    poison(base_, static_cast<size_t>(top_ - base_));
  else if (!quietly)
    check_guards();
}

// A guard, the variable, and the guard that follows it.
char* SharedMemory::place(size_t bytes, size_t alignment) {
  if constexpr (kAsan) alignment = std::max<size_t>(alignment, 8);  // it cannot guard the bytes before an odd word
  const uintptr_t first = reinterpret_cast<uintptr_t>(top_ == base_ ? base_ + kGuardBytes : top_);
  uintptr_t begin = (first + alignment - 1) / alignment * alignment;
  if (begin % (2 * alignment) == 0) begin += alignment;  // aligned as asked and no better
  char* const data = reinterpret_cast<char*>(begin);
  char* const end = data + bytes;
  check(end + kGuardBytes <= base_ + kArenaBytes, "{}: too many shared variables", this_block());
  if constexpr (!kAsan) {
    write_guard(top_, data);
    write_guard(end, end + kGuardBytes);
  } else {
    unpoison(data, bytes);
  }
  std::memset(data, kPoisonByte, bytes);
  top_ = end + kGuardBytes;
  return data;
}

void* SharedMemory::variable(const void* key, std::string_view name, size_t bytes, size_t alignment) {
  for (const Variable& v : variables_)
    if (v.key == key) return v.data;
  static_bytes_ = (static_bytes_ + alignment - 1) / alignment * alignment + bytes;
  check(static_bytes_ <= kSharedDefault, "{}: {} bytes of static shared memory, and CUDA allows {}", this_block(),
        static_bytes_, kSharedDefault);
  const size_t limit = dynamic_bytes_ > kSharedDefault ? kSharedLimit : kSharedDefault;
  check(static_bytes_ + dynamic_bytes_ <= limit,
        "{}: {} bytes of static and {} of dynamic shared memory; with so many dynamic bytes CUDA allows {} together",
        this_block(), static_bytes_, dynamic_bytes_, limit);
  char* const data = place(bytes, alignment);
  variables_.push_back({key, name, data, bytes});
  return data;
}

void SharedMemory::check_guards() const {
  const char* begin = base_;
  std::string_view before = "dynamic shared memory";
  size_t before_bytes = dynamic_bytes_;
  const char* before_data = dynamic_;
  auto check_until = [&](const char* end, std::string_view next) {
    if (const char* broken = broken_guard(begin, end)) {
      if (broken < dynamic_)
        fail("{}: shared memory was written {} bytes before the start of dynamic shared memory", this_block(),
             dynamic_ - broken);
      fail("{}: shared memory was written {} bytes past the start of {}, which has {}{}", this_block(),
           broken - before_data, before, before_bytes, next.empty() ? "" : format(" (the next one is {})", next));
    }
  };
  check_until(dynamic_, {});
  begin = dynamic_ + dynamic_bytes_;
  for (const Variable& v : variables_) {
    check_until(v.data, v.name);
    begin = v.data + v.bytes;
    before = v.name;
    before_bytes = v.bytes;
    before_data = v.data;
  }
  check_until(top_, {});
}

}  // namespace holt::simt
