// Random numbers by counter (Philox): the whole state is two integers, so a checkpoint can hold it and every device
// draws the same.
#pragma once
#include <cstdint>
#include <vector>

#include "core/tensor.h"

namespace holt {

struct Generator {
  uint64_t seed = 0;
  uint64_t next = 0;  ///< stream number of the next draw; grows by one with every tensor drawn

  explicit Generator(uint64_t s = 0) : seed(s) {}
  friend bool operator==(const Generator&, const Generator&) = default;
};

/// Uniform in [low, high). The same values on every device.
Tensor uniform(Shape, double low, double high, Generator&, DType = DType::f32, Device = {});
/// Normal (Box–Muller), drawn on the cpu and copied: the same values on every device.
Tensor normal(Shape, double mean, double std, Generator&, DType = DType::f32, Device = {});
/// A permutation of 0 … n−1.
std::vector<int64_t> permutation(int64_t n, Generator&);

}  // namespace holt
