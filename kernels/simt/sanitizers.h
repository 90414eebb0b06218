// What the emulator tells AddressSanitizer and ThreadSanitizer. Without them everything here is empty.
//
// The race checker (HOLT_RACE) instruments the kernels only: a barrier or a switch seen from inside the instrumented
// world is a call into code that ThreadSanitizer knows nothing of, so order exists exactly where it is stated here.
#pragma once
#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#define HOLT_SIMT_ASAN 1
#else
#define HOLT_SIMT_ASAN 0
#endif

extern "C" {
#if HOLT_SIMT_ASAN
void __asan_poison_memory_region(void const volatile* address, size_t bytes);
void __asan_unpoison_memory_region(void const volatile* address, size_t bytes);
void __sanitizer_start_switch_fiber(void** fake_stack, const void* bottom, size_t bytes);
void __sanitizer_finish_switch_fiber(void* fake_stack, const void** bottom, size_t* bytes);
#endif
#if defined(HOLT_RACE)
void* __tsan_get_current_fiber();
void* __tsan_create_fiber(unsigned flags);
void __tsan_destroy_fiber(void* fiber);
void __tsan_switch_to_fiber(void* fiber, unsigned flags);
void __tsan_acquire(void* address);
void __tsan_release(void* address);
void AnnotateIgnoreReadsBegin(const char* file, int line);
void AnnotateIgnoreReadsEnd(const char* file, int line);
void AnnotateIgnoreWritesBegin(const char* file, int line);
void AnnotateIgnoreWritesEnd(const char* file, int line);
#endif
}

namespace holt::simt {

inline constexpr bool kAsan = HOLT_SIMT_ASAN;
#if defined(HOLT_RACE)
inline constexpr bool kRace = true;
#else
inline constexpr bool kRace = false;
#endif

/// From now on an access to these bytes is a fault.
inline void poison([[maybe_unused]] void* p, [[maybe_unused]] size_t bytes) {
#if HOLT_SIMT_ASAN
  __asan_poison_memory_region(p, bytes);
#endif
}
inline void unpoison([[maybe_unused]] void* p, [[maybe_unused]] size_t bytes) {
#if HOLT_SIMT_ASAN
  __asan_unpoison_memory_region(p, bytes);
#endif
}

/// All that this thread did so far happens before whatever follows another thread's race_acquire of the same address.
inline void race_release([[maybe_unused]] void* address) {
#if defined(HOLT_RACE)
  __tsan_release(address);
#endif
}
inline void race_acquire([[maybe_unused]] void* address) {
#if defined(HOLT_RACE)
  __tsan_acquire(address);
#endif
}

/// The emulator at work on behalf of a kernel thread, or for all of them: what it reads, writes, allocates and maps is
/// no access of the kernel's. (Its code is not instrumented, but libtsan also watches memset, malloc, mmap and the
/// like.)
class RaceBlind {
 public:
  RaceBlind() { begin(); }
  ~RaceBlind() { end(); }
  RaceBlind(const RaceBlind&) = delete;
  RaceBlind& operator=(const RaceBlind&) = delete;

  static void begin() {
#if defined(HOLT_RACE)
    AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
    AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
#endif
  }
  static void end() {
#if defined(HOLT_RACE)
    AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
    AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
#endif
  }
};

}  // namespace holt::simt
