// Time between two laps: of the wall, or of the processor.
#pragma once
#include <ctime>

namespace holt::app {

inline double seconds_of(clockid_t clock) {
  timespec t;
  clock_gettime(clock, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

class Stopwatch {
 public:
  /// processor: the time that the process computed, all its threads together. With one thread it is what a step would
  /// take on an idle machine, but for what others leave in the caches; more threads spin while they wait.
  explicit Stopwatch(bool processor) : clock_(processor ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC), last_(now()) {}
  /// Seconds since the last call.
  double lap() {
    const double before = last_;
    return (last_ = now()) - before;
  }

 private:
  double now() const { return seconds_of(clock_); }
  clockid_t clock_;
  double last_;
};

}  // namespace holt::app
