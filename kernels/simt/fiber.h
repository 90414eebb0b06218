// Stacks of execution on one OS thread, and the switch between them (Boost.Context: some twenty instructions).
#pragma once
#include <boost/context/fiber.hpp>
#include <cstddef>
#include <optional>
#include <utility>

#include "kernels/simt/sanitizers.h"

namespace holt::simt {

/// A fiber's stack: pages of its own with an unmapped one below, so that running out of stack is a fault at once.
class Stack {
 public:
  /// `colour` moves the stack's top by some cache lines: tops at equal page offsets would share a few cache sets.
  explicit Stack(unsigned colour);
  ~Stack();
  Stack(const Stack&) = delete;
  Stack& operator=(const Stack&) = delete;
  char* bottom() const { return bottom_; }
  size_t bytes() const { return bytes_; }

 private:
  char* mapping_;
  char* bottom_;
  size_t bytes_;
};

/// One stack of execution: the OS thread's own, or a fiber that runs `body(argument)`.
class Fiber {
 public:
  /// Stands for the calling OS thread's own stack.
  Fiber();
  /// Starts suspended. When body returns, the fiber is over and the one it returned continues.
  Fiber(unsigned colour, Fiber* (*body)(void*), void* argument);
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  /// Suspends this fiber, which must be the running one, and continues `to`.
  void switch_to(Fiber& to);
  /// For the OS thread's own stack: learns where the race checker thinks it is (the calling thread may have changed).
  void adopt();

 private:
  void leave(Fiber& to, bool for_good);
  void arrive(boost::context::fiber&& from);
  boost::context::fiber run(boost::context::fiber&& from);

  boost::context::fiber suspended_;
  std::optional<Stack> stack_;
  Fiber* (*body_)(void*) = nullptr;
  void* argument_ = nullptr;
  const void* bottom_ = nullptr;  // for AddressSanitizer
  size_t bytes_ = 0;
  void* fake_stack_ = nullptr;
  void* race_ = nullptr;  // for ThreadSanitizer
};

// The switch is what everything waits for: inlined, it leaves one small frame on the stack that is left.

namespace detail {
inline constinit thread_local Fiber* previous = nullptr;  // who switched to the fiber that is now running
}

inline void Fiber::leave([[maybe_unused]] Fiber& to, [[maybe_unused]] bool for_good) {
  detail::previous = this;
#if HOLT_SIMT_ASAN
  __sanitizer_start_switch_fiber(for_good ? nullptr : &fake_stack_, to.bottom_, to.bytes_);
#endif
#if defined(HOLT_RACE)
  __tsan_switch_to_fiber(to.race_, 1);  // 1: a switch orders nothing
#endif
}

inline void Fiber::arrive(boost::context::fiber&& from) {
  detail::previous->suspended_ = std::move(from);
#if HOLT_SIMT_ASAN
  __sanitizer_finish_switch_fiber(fake_stack_, &detail::previous->bottom_, &detail::previous->bytes_);
#endif
}

inline void Fiber::switch_to(Fiber& to) {
  leave(to, false);
  boost::context::fiber from = std::move(to.suspended_).resume();
  arrive(std::move(from));
}

}  // namespace holt::simt
