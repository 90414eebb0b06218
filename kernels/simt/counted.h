// What the emulator tells the counters (HOLT_COUNTERS, counters.h). Without them everything here is empty.
//
// The kernels' own loads and stores come from the compiler's instrumentation; here stands what it cannot see as the GPU
// does: cp.async's write to shared memory, ldmatrix's rows, and where requests end.
#pragma once
#include <cstddef>

namespace holt::simt {

struct Launch;

#if defined(HOLT_COUNTERS)
/// Device memory that exists from now on, and no longer.
void note_allocation(const void* p, size_t bytes);
void note_free(const void* p);
/// A launch begins; all accesses until the next one are this kernel's.
void note_launch(const Launch&);
/// A barrier opened or a block ended: lanes that have not joined a request by now never will.
void note_barrier();
/// The caller's lane copies 16 bytes: global to shared memory; zeros if `from` is null.
void note_copy(const void* to, const void* from);
/// The caller's lane names a row of 16 bytes in shared memory.
void note_ldmatrix(const void* row);
/// While it lives, the thread's accesses are the emulator's own. It must not live across a wait.
class Uncounted {
 public:
  Uncounted();
  ~Uncounted();
  Uncounted(const Uncounted&) = delete;
  Uncounted& operator=(const Uncounted&) = delete;
};
#else
inline void note_allocation(const void*, size_t) {}
inline void note_free(const void*) {}
inline void note_launch(const Launch&) {}
inline void note_barrier() {}
inline void note_copy(const void*, const void*) {}
inline void note_ldmatrix(const void*) {}
class Uncounted {
 public:
  Uncounted() {}  // not trivial: its objects are never "unused"
};
#endif

}  // namespace holt::simt
