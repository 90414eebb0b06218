#include "kernels/simt/scheduler.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "kernels/simt/counted.h"
#include "kernels/simt/race.h"
#include "kernels/simt/sanitizers.h"

namespace holt::simt {

constinit thread_local uint3 threadIdx{};
constinit thread_local uint3 blockIdx{};
constinit thread_local dim3 blockDim{};
constinit thread_local dim3 gridDim{};

namespace {

constinit thread_local Scheduler* running = nullptr;

// The opposite of RaceBlind: from here on the kernel itself acts.
class Watched {
 public:
  Watched() : watched_(!enough_races()) {
    if (watched_) RaceBlind::end();
  }
  ~Watched() {
    if (watched_) RaceBlind::begin();
  }
  Watched(const Watched&) = delete;
  Watched& operator=(const Watched&) = delete;

 private:
  const bool watched_;
};

}  // namespace

Runner::Runner(unsigned colour, Scheduler& s) : scheduler(s), fiber(colour, &Scheduler::runner_main, this) {}

Scheduler::Scheduler() = default;

Scheduler::~Scheduler() {
  closing_ = true;
  for (auto& runner : runners_) outside_.switch_to(runner->fiber);  // each sees closing_ and returns
}

Scheduler* Scheduler::current() { return running; }

Scheduler& Scheduler::inside(const char* primitive, Site site) {
  if (!running) throw Error(format("simt: {} was called outside of a kernel", primitive), site);
  return *running;
}

Scheduler& Scheduler::mine() {
  thread_local Scheduler scheduler;
  return scheduler;
}

void Scheduler::begin_launch() {
  outside_.adopt();
  race_release(&race_start_);
}

void Scheduler::end_launch() { race_acquire(&race_end_); }

void Scheduler::run(const Launch& launch, uint64_t block) {
  struct Inside {
    explicit Inside(Scheduler* s) { running = s; }
    ~Inside() { running = nullptr; }
  } inside(this);
  prepare(launch, block);
  const unsigned first = pick();
  assign_runner(first);
  become(first);
  outside_.switch_to(threads_[first].runner->fiber);
  // Every thread is done, or unwound.
  note_barrier();
  std::exception_ptr error = std::exchange(error_, nullptr);
  try {
    shared_.close(error != nullptr);
  } catch (...) { error = std::current_exception(); }
  if (error) std::rethrow_exception(error);
}

void Scheduler::prepare(const Launch& launch, uint64_t block) {
  launch_ = &launch;
  const dim3 g = launch.grid, b = launch.block;
  gridDim = g;
  blockDim = b;
  blockIdx = {static_cast<unsigned>(block % g.x), static_cast<unsigned>(block / g.x % g.y),
              static_cast<unsigned>(block / g.x / g.y)};
  count_ = live_ = static_cast<unsigned>(b.count());
  random_ = Random(launch.schedule ^ mix(block));

  if (threads_.size() < count_) threads_.resize(count_);
  if (b.x != indexed_.x || b.y != indexed_.y || b.z != indexed_.z) {
    indexed_ = b;
    uint3 i{0, 0, 0};
    for (unsigned t = 0; t < count_; ++t) {
      threads_[t].index = i;
      if (++i.x == b.x) i.x = 0, ++i.y;
      if (i.y == b.y) i.y = 0, ++i.z;
    }
  }
  runnable_.resize(count_);
  for (unsigned t = 0; t < count_; ++t) {
    threads_[t].state = Thread::unstarted;
    threads_[t].runner = nullptr;
    threads_[t].at_barrier = false;
    threads_[t].copies.clear();
    runnable_[t] = t;
  }
  const unsigned warps = (count_ + 31) / 32;
  if (warps_.size() < warps) warps_.resize(warps);
  for (unsigned w = 0; w < warps; ++w) {
    const unsigned lanes = std::min(count_ - 32 * w, 32u);
    warps_[w].present = lanes == 32 ? ~0u : (1u << lanes) - 1;
    warps_[w].exited = 0;
    warps_[w].running = lanes;
    warps_[w].meetings.clear();
  }
  at_barrier_ = yes_ = barriers_ = 0;
  mixed_sites_ = abandoned_ = false;
  if constexpr (kRace) {
    race_orders_ = std::vector<uint64_t>(2 + kWarpOrders * warps);  // new addresses: no order between blocks
    // Made here: what a fiber's maker did before, ThreadSanitizer takes as ordered.
    while (runners_.size() < std::max(2 * count_, std::min(4 * count_, 512u))) idle_.push_back(make_runner());
  }
  shared_.open(launch.shared_bytes);
}

Runner* Scheduler::make_runner() {
  runners_.push_back(std::make_unique<Runner>(static_cast<unsigned>(runners_.size()), *this));
  idle_.reserve(runners_.capacity());
  return runners_.back().get();
}

// A thread that starts needs a stack. The race checker takes a fiber's accesses to be in order: under it, each thread
// has a fiber of its own, and blocks that follow one another have different ones.
void Scheduler::assign_runner(unsigned thread) {
  if (threads_[thread].runner) return;
  if (idle_.empty()) {
    threads_[thread].runner = make_runner();
  } else if (kRace) {
    threads_[thread].runner = idle_.front();
    idle_.erase(idle_.begin());
  } else {
    threads_[thread].runner = idle_.back();  // its stack is warm
    idle_.pop_back();
  }
}

Fiber* Scheduler::runner_main(void* p) {
  Runner& runner = *static_cast<Runner*>(p);
  runner.scheduler.run_threads(runner);
  return &runner.scheduler.outside_;
}

// The life of a fiber: runs the current thread to its end, then the next, until that one has a fiber of its own.
void Scheduler::run_threads(Runner& self) {
  const RaceBlind blind;
  while (!closing_) {
    race_acquire(&race_start_);
    try {
      const Watched kernel;
      launch_->call(launch_->arguments);
    } catch (const Abandoned&) {
    } catch (...) {
      threads_[current_].state = Thread::running;  // it may have failed while about to wait
      abandon(std::current_exception());
    }
    race_release(&race_end_);
    finish();
    if (live_ == 0) {
      idle_.push_back(&self);
      self.fiber.switch_to(outside_);
      continue;
    }
    const unsigned next = pick();
    if (!kRace && !threads_[next].runner) {
      threads_[next].runner = &self;
      become(next);
      continue;
    }
    assign_runner(next);
    idle_.push_back(&self);
    become(next);
    self.fiber.switch_to(threads_[next].runner->fiber);
  }
}

void Scheduler::wake(unsigned thread) {
  threads_[thread].state = Thread::running;
  threads_[thread].at_barrier = false;
  ++warps_[thread / 32].running;
  runnable_.push_back(thread);
}

void Scheduler::finish() {
  threads_[current_].state = Thread::finished;
  --live_;
  if (abandoned_) return;
  const unsigned lane = 1u << current_ % 32;
  Warp& warp = warps_[current_ / 32];
  warp.exited |= lane;
  --warp.running;
  for (const Meeting& m : warp.meetings)
    if (m.mask & ~m.arrived & lane)
      return abandon(std::make_exception_ptr(failure(
          format("{} has exited, and others wait for it: {}", thread_name(current_), waiting_threads()), m.site)));
  if (warp.running == 0) resolve_active_mask(warp, current_ / 32);
  if (live_ == 0) return;
  if (at_barrier_ == live_) {
    try {
      release_barrier();
    } catch (...) { return abandon(std::current_exception()); }
  }
  if (runnable_.empty()) stuck();
}

inline BarrierVotes Scheduler::barrier(const char* primitive, bool predicate, Site site) {
  if (at_barrier_ == 0) {
    barrier_site_ = site;
    barrier_primitive_ = primitive;
  } else {
    mixed_sites_ |= !same_site(site, barrier_site_) || primitive != barrier_primitive_;
  }
  ++at_barrier_;
  yes_ += predicate;
  Thread& t = threads_[current_];
  t.at_barrier = true;
  // Two addresses in turn: a thread that is slow to leave must not see what a fast one did on its way to the next.
  [[maybe_unused]] uint64_t* const order = race_orders_.data() + barriers_ % 2;
  if constexpr (kRace) race_release(order);
  if (at_barrier_ == live_) {
    t.primitive = primitive;
    t.mask = 0;
    t.site = site;
    release_barrier();
  } else {
    wait(primitive, 0, site);
  }
  if constexpr (kRace) race_acquire(order);
  return votes_;
}

BarrierVotes block_barrier(const char* primitive, bool predicate, Site site) {
  const RaceBlind blind;
  return Scheduler::inside(primitive, site).barrier(primitive, predicate, site);
}

// All live threads wait at the block's barrier.
void Scheduler::release_barrier() {
  if (mixed_sites_) throw failure("threads wait at different barriers: " + waiting_threads(), barrier_site_);
  note_barrier();
  votes_ = {yes_, live_};
  ++barriers_;
  at_barrier_ = yes_ = 0;
  threads_[current_].at_barrier = false;  // the last to come goes on at once
  for (unsigned t = 0; t < count_; ++t)
    if (threads_[t].at_barrier) wake(t);
}

// Nobody can go on.
void Scheduler::stuck() {
  const std::string who = waiting_threads();
  Site site = threads_[current_].site;
  for (unsigned t = 0; t < count_; ++t)
    if (threads_[t].state == Thread::waiting) site = threads_[t].site;
  abandon(std::make_exception_ptr(failure("threads wait for others that can never come: " + who, site)));
}

// The block has failed: threads that have not started never will, and those that wait are unwound. Only the first
// failure counts.
void Scheduler::abandon(std::exception_ptr why) {
  if (abandoned_) return;
  abandoned_ = true;
  error_ = std::move(why);
  runnable_.clear();
  for (unsigned t = 0; t < count_; ++t) {
    const bool on_its_way_out = t == current_ && threads_[t].state == Thread::running;
    if (threads_[t].state == Thread::unstarted) {
      threads_[t].state = Thread::finished;
      --live_;
    } else if (threads_[t].state != Thread::finished && !on_its_way_out) {
      runnable_.push_back(t);
    }
  }
}

}  // namespace holt::simt
