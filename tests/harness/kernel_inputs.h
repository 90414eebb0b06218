// Operands for tests that call kernels directly, and the number of threads they run on.
#pragma once
#include <omp.h>

#include <cstdint>
#include <vector>

#include "kernels/philox.h"

namespace holt::test {

/// n numbers in [−0.5, 0.5), others for each stream, the same in every run.
template <class T>
std::vector<T> random_values(int64_t n, uint64_t stream) {
  std::vector<T> v(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i) v[static_cast<size_t>(i)] = T(uniform01(philox(5, stream, i).v[0]) - 0.5f);
  return v;
}

/// OpenMP's threads within a scope.
struct Threads {
  explicit Threads(int n) { omp_set_num_threads(n); }
  ~Threads() { omp_set_num_threads(before); }
  int before = omp_get_max_threads();
};

}  // namespace holt::test
