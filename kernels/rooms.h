// Scratch memory for each of the threads that a parallel_for may have.
#pragma once
#include "kernels/memory.h"
#include "kernels/parallel.h"

namespace holt {

/// `size` elements for each thread, from 64-byte boundaries on. All are taken at once, by the caller: a step asks for
/// the same memory however its threads run.
template <class T>
class Rooms {
 public:
  explicit Rooms(int64_t size)
      : size_((size + kLine - 1) / kLine * kLine),
        level_(omp_get_level()),
        memory_(Device::cpu, static_cast<size_t>(omp_get_max_threads() * size_) * sizeof(T)) {}
  /// The calling thread's: within the parallel_for or, where that takes one thread only, outside.
  T* own() const { return memory_.as<T>() + (omp_get_level() > level_ ? omp_get_thread_num() : 0) * size_; }

 private:
  static constexpr int64_t kLine = 64 / sizeof(T);
  int64_t size_;
  int level_;
  Workspace memory_;
};

}  // namespace holt
