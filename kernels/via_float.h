// f16 on the CPU, and bf16 where the processor has no instructions for it: operands are widened to float in workspace,
// the f32 kernel runs, its results are rounded once. Costs 6 bytes of traffic an element, next to products and
// convolutions little.
#pragma once
#include "kernels/memory.h"
#include "kernels/narrow.h"
#include "kernels/parallel.h"

namespace holt {

/// A float copy of n elements; null for null.
class Widened {
 public:
  template <class T>
  Widened(int64_t n, const T* x)
      : memory_(Device::cpu, x ? n * sizeof(float) : 0), data_(x ? memory_.as<float>() : nullptr) {
    if (x)
      parallel_for(n, 1, [&](int64_t begin, int64_t end) { detail::widen(end - begin, x + begin, data_ + begin); });
  }
  operator const float*() const { return data_; }

 private:
  Workspace memory_;
  float* data_;
};

/// Room for n floats, rounded into `x` by store(); null for null.
template <class T>
class Rounded {
 public:
  Rounded(int64_t n, T* x) : memory_(Device::cpu, x ? n * sizeof(float) : 0), n_(n), x_(x) {}
  operator float*() const { return x_ ? memory_.as<float>() : nullptr; }
  void store() const {
    if (x_)
      parallel_for(n_, 1, [&](int64_t begin, int64_t end) {
        detail::narrow(end - begin, memory_.as<float>() + begin, x_ + begin);
      });
  }

 private:
  Workspace memory_;
  int64_t n_;
  T* x_;
};

}  // namespace holt
