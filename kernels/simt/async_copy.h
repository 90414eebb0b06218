// cp.async: the bytes are read when the copy is issued and land in shared memory at the wait that covers them, never
// earlier. A reader that forgot to wait sees what was there before: NaN, the first time.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/simt/counted.h"

namespace holt::simt {

/// 16 bytes that move as one access: one load or store instruction, and one access to the sanitizers.
using Bytes16 = uint32_t __attribute__((vector_size(16), may_alias));
using Bytes8 = uint32_t __attribute__((vector_size(8), may_alias));

struct AsyncCopy {
  Bytes16 value;
  Bytes16* to;
  uint64_t group;
};

/// One thread's copies under way, in groups closed by commit.
class AsyncCopies {
 public:
  void issue(Bytes16* to, Bytes16 value);
  void commit() { ++open_group_; }
  /// The next copy that must have landed when at most `newest` closed groups may be under way; null if there is none.
  const AsyncCopy* next_to_land(uint64_t newest);
  void clear();

 private:
  std::vector<AsyncCopy> copies_;
  size_t landed_ = 0;
  uint64_t open_group_ = 0;
};

// For the calling kernel thread.
void issue_copy(Bytes16* to, Bytes16 value);
void commit_copies();
const AsyncCopy* next_copy_to_land(uint64_t newest);

/// Throws: CUDA ends a kernel that makes an access of so many bytes at an address that they do not divide.
[[noreturn]] void refuse_misaligned(const char* what, const void* p, unsigned bytes);

inline void check_aligned16(const char* what, const void* p) {
  if (reinterpret_cast<uintptr_t>(p) % 16 != 0) [[unlikely]]
    refuse_misaligned(what, p, 16);
}
inline void check_aligned8(const char* what, const void* p) {
  if (reinterpret_cast<uintptr_t>(p) % 8 != 0) [[unlikely]]
    refuse_misaligned(what, p, 8);
}

// The accesses themselves stand in these headers, not in the emulator's core: a sanitizer must see them in the kernel.

inline void start_copy(void* shared, const void* global, bool valid) {
  check_aligned16("cp_async16 to shared memory", shared);
  check_aligned16("cp_async16 from global memory", global);
  auto* const to = static_cast<Bytes16*>(shared);
#if defined(HOLT_RACE)
  *const_cast<volatile Bytes16*>(to) = *to;  // the copy may land at any time from here on: a write to who races with it
#endif
  note_copy(shared, valid ? global : nullptr);
  const Uncounted quiet;
  issue_copy(to, valid ? *static_cast<const Bytes16*>(global) : Bytes16{});
}

inline void cp_async16(void* shared, const void* global) { start_copy(shared, global, true); }
inline void cp_async16_or_zero(void* shared, const void* global, bool valid) { start_copy(shared, global, valid); }
inline void cp_async_commit() { commit_copies(); }
template <int N>
void cp_async_wait() {
  const Uncounted quiet;  // note_copy() told of the write
  while (const AsyncCopy* c = next_copy_to_land(N)) *c->to = c->value;
}

}  // namespace holt::simt
