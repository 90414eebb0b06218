// One OS thread's worth of GPU: runs the threads of one block, one at a time, until each of them waits or is done.
//
// Which thread goes on is drawn at random (seeded) at every wait, so no two of them keep step unless the kernel says
// so. A thread that never waits costs no switch: the fiber that ran it goes on to the next one. Fibers and stacks are
// kept from block to block.
#pragma once
#include <cstdint>
#include <exception>
#include <memory>
#include <vector>

#include "kernels/simt/async_copy.h"
#include "kernels/simt/fiber.h"
#include "kernels/simt/launch.h"
#include "kernels/simt/random.h"
#include "kernels/simt/shared.h"
#include "kernels/simt/thread.h"
#include "kernels/simt/warp.h"

namespace holt::simt {

class Scheduler;

// Unwinds a waiting thread whose block has failed. Not a std::exception: kernels have no business catching it.
struct Abandoned {};

/// A fiber that runs kernel threads, one after another.
struct Runner {
  Runner(unsigned colour, Scheduler& s);
  Scheduler& scheduler;
  Fiber fiber;
};

struct Thread {
  enum State : uint8_t { unstarted, running, waiting, finished };
  uint3 index{};
  State state = unstarted;
  Runner* runner = nullptr;
  // If it waits: in what, where, and for which lanes (0: not a warp primitive).
  bool at_barrier = false;
  const char* primitive = nullptr;
  unsigned mask = 0;
  Site site;
  AsyncCopies copies;
};

/// Some lanes of a warp that meet at one call of a warp primitive.
struct Meeting {
  using Complete = void (*)(unsigned mask, void* const* lanes);
  const char* primitive;
  unsigned mask;  // 0: __activemask, which waits for whoever comes
  unsigned arrived;
  Site site;
  Complete complete;
  unsigned number;  // among the warp's meetings
  void* lanes[32];
};

struct Warp {
  unsigned present = 0, exited = 0;  // lanes
  unsigned running = 0;              // how many of the present lanes neither wait nor are done
  unsigned met = 0;                  // how many meetings there were
  std::vector<Meeting> meetings;
};

class Scheduler {
 public:
  Scheduler();
  ~Scheduler();
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  /// The calling OS thread's; null outside of kernels.
  static Scheduler* current();
  /// The same, or an Error that names the primitive.
  static Scheduler& inside(const char* primitive, Site);
  /// The calling OS thread's own scheduler, made on first use.
  static Scheduler& mine();

  /// Around a launch: what the caller wrote before is seen by the kernel, and what the kernel wrote by the caller.
  void begin_launch();
  void end_launch();
  /// Runs block `block` of the launch. Throws what its first failing thread threw; all others are unwound.
  void run(const Launch&, uint64_t block);

  // ---- for kernel threads
  /// Waits for every live thread of the block; returns how many there are, and how many brought a true predicate.
  BarrierVotes barrier(const char* primitive, bool predicate, Site);
  /// Waits until all lanes of `mask` have come to this call; the last one runs complete(mask, lanes' data). `orders`:
  /// whether what the lanes did before is seen by all of them after.
  void meet(const char* primitive, unsigned mask, void* data, Meeting::Complete complete, bool orders, Site);
  /// The lanes that can only be here together: those that wait here once no other lane of the warp can go on.
  unsigned active_mask(Site);
  SharedMemory& shared() { return shared_; }
  Thread& thread() { return threads_[current_]; }
  unsigned thread_number() const { return current_; }

  // ---- for messages and the debugger
  std::string block_name() const;
  std::string thread_name(unsigned thread) const;
  /// One line for each group of threads that wait together.
  std::string waiting_threads() const;
  /// The same for all threads of the block, also those that are done, free to go on, or not started.
  std::string all_threads() const;

 private:
  friend Runner;
  static Fiber* runner_main(void* runner);
  void run_threads(Runner&);
  void prepare(const Launch&, uint64_t block);
  unsigned pick();
  void assign_runner(unsigned thread);
  void become(unsigned thread);
  void wait(const char* primitive, unsigned mask, Site);
  void wake(unsigned thread);
  void finish();
  void release_barrier();
  void resolve_active_mask(Warp&, unsigned warp);
  void check_mask(const char* primitive, unsigned mask, unsigned lane, const Warp&, Site) const;
  template <class Label>
  std::string grouped(Label) const;
  Error failure(const std::string& what, Site) const;
  void stuck();
  void abandon(std::exception_ptr);
  Runner* make_runner();

  const Launch* launch_ = nullptr;
  unsigned count_ = 0, live_ = 0, current_ = 0;
  Random random_;
  std::vector<Thread> threads_;
  std::vector<Warp> warps_;
  std::vector<unsigned> runnable_;
  dim3 indexed_{0, 0, 0};  // the block shape whose threadIdx threads_ holds

  unsigned at_barrier_ = 0, yes_ = 0, barriers_ = 0;
  bool mixed_sites_ = false;
  Site barrier_site_;
  const char* barrier_primitive_ = nullptr;
  BarrierVotes votes_{};

  bool abandoned_ = false;
  std::exception_ptr error_;

  // Addresses that stand for "seen by all": two for the barrier, some for each warp's meetings in turn; the launch's
  // start and end.
  static constexpr unsigned kWarpOrders = 64;
  std::vector<uint64_t> race_orders_;
  uint64_t race_start_ = 0, race_end_ = 0;

  Fiber outside_;
  std::vector<std::unique_ptr<Runner>> runners_;
  std::vector<Runner*> idle_;
  bool closing_ = false;
  SharedMemory shared_;
};

inline unsigned Scheduler::pick() {
  unsigned& chosen = runnable_[random_.below(static_cast<unsigned>(runnable_.size()))];
  const unsigned thread = std::exchange(chosen, runnable_.back());
  runnable_.pop_back();
  return thread;
}

inline void Scheduler::become(unsigned thread) {
  current_ = thread;
  threads_[thread].state = Thread::running;
  threadIdx = threads_[thread].index;
}

// Suspends the current thread until wake().
inline void Scheduler::wait(const char* primitive, unsigned mask, Site site) {
  Thread& t = threads_[current_];
  t.state = Thread::waiting;
  t.primitive = primitive;
  t.mask = mask;
  t.site = site;
  Warp& warp = warps_[current_ / 32];
  if (--warp.running == 0) resolve_active_mask(warp, current_ / 32);
  if (runnable_.empty()) stuck();
  const unsigned next = pick();
  if (next != current_) {
    assign_runner(next);
    become(next);
    t.runner->fiber.switch_to(threads_[next].runner->fiber);
  }
  t.state = Thread::running;
  if (abandoned_) throw Abandoned{};
}

}  // namespace holt::simt
