#include "arena.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstring>
#include <new>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
constexpr bool kAsan = true;
#else
#define ASAN_POISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
constexpr bool kAsan = false;
#endif

namespace holt_double {
namespace {

constexpr unsigned char kGuardByte = 0xf7;  // pairs of it are a NaN in no 16-bit type, but nothing writes it by chance
constexpr size_t kKeptApart = 4;            // released blocks of one size that wait before the oldest is used again

bool all_are(const char* p, size_t n, unsigned char byte) {
  for (size_t i = 0; i < n; ++i)
    if (static_cast<unsigned char>(p[i]) != byte) return false;
  return true;
}

}  // namespace

Arena::Arena() {
  mapped_ = mmap(nullptr, kSpace + kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapped_ == MAP_FAILED) throw std::bad_alloc();
  base_ = top_ = static_cast<char*>(mapped_) + (kPage - reinterpret_cast<uintptr_t>(mapped_) % kPage) % kPage;
  madvise(base_, kSpace, MADV_HUGEPAGE);  // opening and closing small pages takes a sixth of some tests' time
}
Arena::~Arena() { munmap(mapped_, kSpace + kPage); }

// Guards on both sides; sizes in sixteenths of their octave, so that blocks of about one size share addresses.
size_t Arena::whole(size_t bytes) {
  size_t step = 512;
  while (step * 32 < bytes) step *= 2;
  return (bytes + step - 1) / step * step + 2 * kGuard;
}

void* Arena::reserve(size_t bytes) {
  const size_t size = whole(bytes);
  auto& old = released_[size];
  char* block = nullptr;
  if (old.size() > kKeptApart) {
    block = old.front();
    old.pop_front();
  } else {
    if (size > kSpace - static_cast<size_t>(top_ - base_)) return nullptr;
    block = top_;
    top_ += size;
    ASAN_POISON_MEMORY_REGION(block, size);
  }
  return block + kGuard;
}

void Arena::begin_use(void* p, size_t bytes) {
  char* const block = static_cast<char*>(p) - kGuard;
  ASAN_UNPOISON_MEMORY_REGION(p, bytes);
  if (!kAsan) {
    std::memset(block, kGuardByte, kGuard);
    std::memset(block + kGuard + bytes, kGuardByte, whole(bytes) - kGuard - bytes);
  }
  std::memset(p, 0xff, bytes);
}

std::string Arena::end_use(void* p, size_t bytes) {
  char* const block = static_cast<char*>(p) - kGuard;
  std::string wrong;
  if (!kAsan && (!all_are(block, kGuard, kGuardByte) ||
                 !all_are(block + kGuard + bytes, whole(bytes) - kGuard - bytes, kGuardByte)))
    wrong = "memory outside an allocation of " + std::to_string(bytes) + " bytes was written";
  std::memset(p, 0xff, bytes);
  ASAN_POISON_MEMORY_REGION(block, whole(bytes));
  released_[whole(bytes)].push_back(block);
  return wrong;
}

void Arena::open() {
  opened_ = base_ + (static_cast<size_t>(top_ - base_) + kPage - 1) / kPage * kPage;
  if (opened_ > base_) mprotect(base_, static_cast<size_t>(opened_ - base_), PROT_READ | PROT_WRITE);
}

void Arena::close() {
  if (opened_ > base_) mprotect(base_, static_cast<size_t>(opened_ - base_), PROT_NONE);
}

}  // namespace holt_double
