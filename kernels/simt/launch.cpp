#include "kernels/simt/launch.h"

#include <omp.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <numeric>

#include "kernels/parallel.h"
#include "kernels/simt/counted.h"
#include "kernels/simt/race.h"
#include "kernels/simt/sanitizers.h"
#include "kernels/simt/scheduler.h"

namespace holt::simt {
namespace {

// The order in which blocks run: i → (a·i + b) mod n with a coprime to n, a permutation that needs no memory.
struct BlockOrder {
  BlockOrder(uint64_t seed, uint64_t blocks) : n(blocks), a(mix(seed ^ 0xb10c) % n), b(mix(seed ^ 0x0ff5e7) % n) {
    while (std::gcd(a, n) != 1) a = (a + 1) % n;  // gcd(0, 1) = 1
  }
  uint64_t operator[](uint64_t i) const {
    __extension__ using wide = unsigned __int128;
    return static_cast<uint64_t>((static_cast<wide>(a) * i + b) % n);
  }
  uint64_t n, a, b;
};

// How many OS threads the launch is worth: a kernel thread costs at least some 50 ns.
int workers(const Launch& l, uint64_t blocks) {
  if (kRace) return 1;  // libgomp's own synchronisation is invisible to ThreadSanitizer
  constexpr int64_t kWorkOfAThread = 64;
  // Each stack has a guard page, and the system limits how many mappings a process has.
  constexpr uint64_t kMostStacks = 16384;
  const uint64_t threads = std::min<uint64_t>(blocks * l.block.count(), uint64_t{1} << 40);
  return static_cast<int>(std::min({static_cast<uint64_t>(threads_for(static_cast<int64_t>(threads) * kWorkOfAThread)),
                                    blocks, kMostStacks / l.block.count()}));
}

}  // namespace

void check_shape(const Launch& l) {
  const dim3 g = l.grid, b = l.block;
  check(b.count() > 0 && b.x <= 1024 && b.y <= 1024 && b.z <= 64 && b.count() <= 1024,
        "simt: kernel '{}' was launched with blocks of ({},{},{}) threads; CUDA allows 1 to 1024, at most 64 in z",
        l.kernel, b.x, b.y, b.z);
  check(g.x <= 0x7fffffffu && g.y <= 65535 && g.z <= 65535,
        "simt: kernel '{}' was launched with a grid of ({},{},{}) blocks; CUDA allows (2147483647,65535,65535)",
        l.kernel, g.x, g.y, g.z);
  check(l.shared_bytes <= kSharedLimit,
        "simt: kernel '{}' was launched with {} bytes of dynamic shared memory; CUDA allows {}", l.kernel,
        l.shared_bytes, kSharedLimit);
}

void run(const Launch& l) {
  check_shape(l);
  if (Scheduler::current()) fail("{}: launches kernel '{}' from inside a kernel", here(), l.kernel);
  const uint64_t blocks = l.grid.count();
  const RaceBlind blind;
  note_launch(l);
  forget_races();
  const BlockOrder order(l.schedule, blocks);
  std::atomic<uint64_t> next{0};
  std::mutex mutex;
  std::exception_ptr error;
  uint64_t failed = blocks;  // position in the order of the earliest block known to have failed

  auto work = [&] {
    try {
      Scheduler& s = Scheduler::mine();
      s.begin_launch();
      for (uint64_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < blocks;) {
        try {
          s.run(l, order[i]);
        } catch (...) {
          const std::lock_guard lock(mutex);
          if (i < failed) {
            failed = i;
            error = std::current_exception();
          }
          next = blocks;  // nobody starts another
        }
      }
      s.end_launch();
    } catch (...) {  // no memory for a scheduler
      const std::lock_guard lock(mutex);
      if (!error) error = std::current_exception();
      next = blocks;
    }
  };
  const int threads = workers(l, blocks);
  if (threads == 1) {
    work();
  } else {
#pragma omp parallel num_threads(threads)
    work();
  }
  if (error) std::rethrow_exception(error);
  check_races(l.kernel);
}

}  // namespace holt::simt
