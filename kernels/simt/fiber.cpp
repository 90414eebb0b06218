#include "kernels/simt/fiber.h"

#include <sys/mman.h>
#include <unistd.h>

#include "kernels/error.h"

namespace holt::simt {
namespace {

// Only touched pages cost memory. Instrumented frames are several times larger.
constexpr size_t kStackBytes = kAsan || kRace ? 256 << 10 : 64 << 10;

// Boost keeps this on the fiber's stack; the Stack itself outlives the fiber.
struct NothingToFree {
  boost::context::stack_context allocate() { return {}; }
  void deallocate(boost::context::stack_context&) {}
};

}  // namespace

Stack::Stack(unsigned colour) {
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  bytes_ = kStackBytes - colour % 16 * 256;  // 256: Boost rounds the top down to it
  void* p =
      mmap(nullptr, page + kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  check(p != MAP_FAILED, "simt: no memory for the stack of a thread ({} KiB)", kStackBytes >> 10);
  mapping_ = static_cast<char*>(p);
  bottom_ = mapping_ + page;
  if (mprotect(mapping_, page, PROT_NONE) != 0) {
    munmap(mapping_, page + kStackBytes);
    fail("simt: the system allows no more guard pages (vm.max_map_count); use smaller blocks or fewer OpenMP threads");
  }
}

Stack::~Stack() {
  unpoison(bottom_, kStackBytes);
  munmap(mapping_, static_cast<size_t>(bottom_ - mapping_) + kStackBytes);
}

Fiber::Fiber() { adopt(); }

Fiber::Fiber(unsigned colour, Fiber* (*body)(void*), void* argument) : body_(body), argument_(argument) {
  stack_.emplace(colour);
  bottom_ = stack_->bottom();
  bytes_ = stack_->bytes();
  boost::context::stack_context context;
  context.size = bytes_;
  context.sp = stack_->bottom() + bytes_;
  suspended_ =
      boost::context::fiber(std::allocator_arg, boost::context::preallocated(context.sp, bytes_, context),
                            NothingToFree{}, [this](boost::context::fiber&& from) { return run(std::move(from)); });
#if defined(HOLT_RACE)
  race_ = __tsan_create_fiber(0);
#endif
}

Fiber::~Fiber() {
#if defined(HOLT_RACE)
  if (stack_) __tsan_destroy_fiber(race_);
#endif
}

void Fiber::adopt() {
#if defined(HOLT_RACE)
  race_ = __tsan_get_current_fiber();
#endif
}

boost::context::fiber Fiber::run(boost::context::fiber&& from) {
  arrive(std::move(from));
  Fiber* next = body_(argument_);
  leave(*next, true);
  return std::move(next->suspended_);
}

}  // namespace holt::simt
