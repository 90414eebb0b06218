#include "kernels/simt/memory.h"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "kernels/error.h"
#include "kernels/simt/counted.h"
#include "kernels/simt/guards.h"
#include "kernels/simt/sanitizers.h"

namespace holt::simt {
namespace {

std::atomic<size_t> violations{0};

constexpr size_t whole(size_t bytes) { return (bytes + 63) / 64 * 64 + 2 * kGuardBytes; }

// How far outside of p[0, bytes) the first broken guard byte is: negative before it; 0 if all are intact.
ptrdiff_t first_overrun(const char* p, size_t bytes) {
  if constexpr (kAsan) return 0;  // nobody could write there and live
  if (const char* broken = broken_guard(p - kGuardBytes, p)) return broken - p;
  if (const char* broken = broken_guard(p + bytes, p - kGuardBytes + whole(bytes))) return broken - (p + bytes) + 1;
  return 0;
}

}  // namespace

void* allocate(size_t bytes) noexcept {
  if (bytes > SIZE_MAX / 2) return nullptr;
  char* const base = static_cast<char*>(std::aligned_alloc(64, whole(bytes)));
  if (!base) return nullptr;
  char* const p = base + kGuardBytes;
  if constexpr (kAsan) {
    poison(base, whole(bytes));
    unpoison(p, bytes);
  } else {
    write_guard(base, p);
    write_guard(p + bytes, base + whole(bytes));
  }
  std::memset(p, kPoisonByte, bytes);
  note_allocation(p, bytes);
  return p;
}

void deallocate(void* pointer, size_t bytes) noexcept {
  if (!pointer) return;
  note_free(pointer);
  char* const p = static_cast<char*>(pointer);
  if (const ptrdiff_t off = first_overrun(p, bytes)) {
    ++violations;
    std::fprintf(stderr, "simt: global memory was overrun: %td bytes %s an allocation of %zu bytes\n",
                 off < 0 ? -off : off, off < 0 ? "before" : "past the end of", bytes);
  }
  char* const base = p - kGuardBytes;
  unpoison(base, whole(bytes));
  std::free(base);
}

size_t guard_violations() { return violations; }

void check_guards(std::string_view who, const void* p, size_t bytes) {
  if (const ptrdiff_t off = first_overrun(static_cast<const char*>(p), bytes))
    fail("{}: global memory was overrun: {} bytes {} an allocation of {} bytes", who, off < 0 ? -off : off,
         off < 0 ? "before" : "past the end of", bytes);
}

}  // namespace holt::simt
