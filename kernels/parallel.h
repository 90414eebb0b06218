// Splitting loops over the CPU's cores.
//
// Whether a loop is split depends only on its work: two threads inside a tiny layer cost more than they give (they spin
// for each other). Where a sum crosses pieces, cut it into pieces of a fixed size and add the parts in order: then
// results do not depend on the number of threads.
#pragma once
#include <omp.h>

#include <algorithm>
#include <cstdint>

namespace holt {

/// Below this many elementary operations (an element touched, an FMA of eight lanes) a loop stays on one thread: about
/// 20 µs.
inline constexpr int64_t kSerialWork = 1 << 16;

/// Threads worth using for `work` elementary operations, from the calling thread.
inline int threads_for(int64_t work) {
  if (work < kSerialWork || omp_in_parallel()) return 1;
  return static_cast<int>(std::min<int64_t>(omp_get_max_threads(), 1 + work / kSerialWork));
}

/// f(begin, end) on contiguous pieces that cover [0, n); `cost` is the work of one index. f must not throw.
template <class F>
void parallel_for(int64_t n, int64_t cost, F&& f) {
  if (n <= 0) return;
  const int threads = static_cast<int>(std::min<int64_t>(n, threads_for(n * std::max<int64_t>(cost, 1))));
  if (threads == 1) return void(f(int64_t{0}, n));
#pragma omp parallel num_threads(threads)
  {
    const int64_t t = omp_get_thread_num(), k = omp_get_num_threads();
    const int64_t begin = n * t / k, end = n * (t + 1) / k;
    if (begin < end) f(begin, end);
  }
}

/// Within its scope oneDNN and parallel_for use at most `threads` threads when called from this thread.
class ThreadLimit {
 public:
  explicit ThreadLimit(int threads) : previous_(omp_get_max_threads()) {
    omp_set_num_threads(std::max(1, std::min(threads, previous_)));
  }
  ~ThreadLimit() { omp_set_num_threads(previous_); }
  ThreadLimit(const ThreadLimit&) = delete;
  ThreadLimit& operator=(const ThreadLimit&) = delete;

 private:
  int previous_;
};

}  // namespace holt
