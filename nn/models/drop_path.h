// The linear rule of stochastic depth (Huang et al. 2016, §4).
#pragma once
#include <cstdint>

namespace holt::nn {

/// The probability with which block i of n drops its branch, where the last one's is `last`: i/(n − 1) of it.
inline double drop_path_of(int64_t i, int64_t n, double last) {
  return n > 1 ? last * static_cast<double>(i) / static_cast<double>(n - 1) : last;
}

}  // namespace holt::nn
