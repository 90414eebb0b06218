// What the compiler's instrumentation reports (counter_hooks.cpp) and the counters take in (counters.cpp).
#pragma once
#include "kernels/simt/counters.h"

namespace holt::simt {

/// The running kernel thread accesses p[0, bytes) from the instruction before `pc`. Ignored outside of kernels, and
/// where p is neither device memory nor the block's shared memory.
void note_access(const void* pc, const void* p, unsigned bytes, Access);

}  // namespace holt::simt
