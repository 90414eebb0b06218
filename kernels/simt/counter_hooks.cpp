// The functions that code compiled with -fsanitize=thread calls, for the counters instead of libtsan: GCC's names and
// signatures (libtsan's tsan_interface.h and tsan_interface_atomic.h).
#include "kernels/simt/counter_hooks.h"

#if defined(HOLT_COUNTERS)
#include <atomic>

using holt::simt::Access;
using holt::simt::note_access;

namespace {

// A struct copied as a whole: on a GPU, accesses of 4 bytes.
void note_range(const void* pc, const char* p, unsigned long bytes, Access access) {
  for (unsigned long i = 0; i < bytes; i += 4)
    note_access(pc, p + i, static_cast<unsigned>(bytes - i < 4 ? bytes - i : 4), access);
}

}  // namespace

#define HOLT_PC __builtin_return_address(0)

extern "C" {

void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}
void __tsan_read_range(void* p, unsigned long n) { note_range(HOLT_PC, static_cast<char*>(p), n, Access::read); }
void __tsan_write_range(void* p, unsigned long n) { note_range(HOLT_PC, static_cast<char*>(p), n, Access::write); }
void __tsan_read1(void* p) { note_access(HOLT_PC, p, 1, Access::read); }
void __tsan_write1(void* p) { note_access(HOLT_PC, p, 1, Access::write); }

#define HOLT_SIZE(n)                                                                   \
  void __tsan_read##n(void* p) { note_access(HOLT_PC, p, n, Access::read); }           \
  void __tsan_write##n(void* p) { note_access(HOLT_PC, p, n, Access::write); }         \
  void __tsan_unaligned_read##n(void* p) { note_access(HOLT_PC, p, n, Access::read); } \
  void __tsan_unaligned_write##n(void* p) { note_access(HOLT_PC, p, n, Access::write); }
HOLT_SIZE(2)
HOLT_SIZE(4)
HOLT_SIZE(8)
HOLT_SIZE(16)

void __tsan_atomic_thread_fence(int) { std::atomic_thread_fence(std::memory_order_seq_cst); }

// Sequentially consistent, whatever was asked for.
#define HOLT_ATOMIC(bits, T)                                                                  \
  T __tsan_atomic##bits##_load(const volatile T* p, int) {                                    \
    note_access(HOLT_PC, const_cast<const T*>(p), bits / 8, Access::read);                    \
    return __atomic_load_n(p, __ATOMIC_SEQ_CST);                                              \
  }                                                                                           \
  void __tsan_atomic##bits##_store(volatile T* p, T x, int) {                                 \
    note_access(HOLT_PC, const_cast<const T*>(p), bits / 8, Access::write);                   \
    __atomic_store_n(p, x, __ATOMIC_SEQ_CST);                                                 \
  }                                                                                           \
  T __tsan_atomic##bits##_exchange(volatile T* p, T x, int) {                                 \
    note_access(HOLT_PC, const_cast<const T*>(p), bits / 8, Access::atomic);                  \
    return __atomic_exchange_n(p, x, __ATOMIC_SEQ_CST);                                       \
  }                                                                                           \
  T __tsan_atomic##bits##_fetch_add(volatile T* p, T x, int) {                                \
    note_access(HOLT_PC, const_cast<const T*>(p), bits / 8, Access::atomic);                  \
    return __atomic_fetch_add(p, x, __ATOMIC_SEQ_CST);                                        \
  }                                                                                           \
  T __tsan_atomic##bits##_fetch_sub(volatile T* p, T x, int) {                                \
    note_access(HOLT_PC, const_cast<const T*>(p), bits / 8, Access::atomic);                  \
    return __atomic_fetch_sub(p, x, __ATOMIC_SEQ_CST);                                        \
  }                                                                                           \
  T __tsan_atomic##bits##_fetch_and(volatile T* p, T x, int) {                                \
    note_access(HOLT_PC, const_cast<const T*>(p), bits / 8, Access::atomic);                  \
    return __atomic_fetch_and(p, x, __ATOMIC_SEQ_CST);                                        \
  }                                                                                           \
  T __tsan_atomic##bits##_fetch_or(volatile T* p, T x, int) {                                 \
    note_access(HOLT_PC, const_cast<const T*>(p), bits / 8, Access::atomic);                  \
    return __atomic_fetch_or(p, x, __ATOMIC_SEQ_CST);                                         \
  }                                                                                           \
  T __tsan_atomic##bits##_fetch_xor(volatile T* p, T x, int) {                                \
    note_access(HOLT_PC, const_cast<const T*>(p), bits / 8, Access::atomic);                  \
    return __atomic_fetch_xor(p, x, __ATOMIC_SEQ_CST);                                        \
  }                                                                                           \
  int __tsan_atomic##bits##_compare_exchange_strong(volatile T* p, T* old, T x, int, int) {   \
    note_access(HOLT_PC, const_cast<const T*>(p), bits / 8, Access::atomic);                  \
    return __atomic_compare_exchange_n(p, old, x, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); \
  }                                                                                           \
  int __tsan_atomic##bits##_compare_exchange_weak(volatile T* p, T* old, T x, int, int) {     \
    note_access(HOLT_PC, const_cast<const T*>(p), bits / 8, Access::atomic);                  \
    return __atomic_compare_exchange_n(p, old, x, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); \
  }
HOLT_ATOMIC(8, unsigned char)
HOLT_ATOMIC(32, unsigned)
HOLT_ATOMIC(64, unsigned long)

}  // extern "C"
#endif
