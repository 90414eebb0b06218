// Functions of two elements under NumPy's broadcasting: y[i] = f(a[i·strides of a], b[i·strides of b]).
//
// An operand's stride is 0 along an axis that it lacks or of which it has one element. Neighbouring axes that both
// operands walk alike are merged first, so that what usually happens is of rank 1 or 2:
//
//   same shape       [n]     strides (1) (1)          trailing vector  [R, C]   (C, 1) (0, 1)      x + bias
//   a single element [n]     strides (1) (0)          column           [R, C]   (C, 1) (1, 0)      x / row sums
//
// Bytes: (|a| + |b| + n)·sizeof(T). Memory-bound everywhere. Gradients are products and sums of these and of sum.h.
#pragma once
#include <span>

#include "kernels/device.h"
#include "kernels/rungs.h"

namespace holt {

struct Add {
  template <class A>
  HOLT_HD A operator()(A a, A b) const {
    return a + b;
  }
};
struct Sub {
  template <class A>
  HOLT_HD A operator()(A a, A b) const {
    return a - b;
  }
};
struct Mul {
  template <class A>
  HOLT_HD A operator()(A a, A b) const {
    return a * b;
  }
};
struct Div {
  template <class A>
  HOLT_HD A operator()(A a, A b) const {
    return a / b;
  }
};

/// The merged loop nest of one broadcast, outermost axis first.
struct Broadcast {
  static constexpr int kMaxRank = 8;
  int rank = 1;                   ///< at least 1
  int64_t sizes[kMaxRank] = {1};  ///< of the result; 1 only if the result has one element
  int64_t a[kMaxRank] = {0};      ///< strides in elements
  int64_t b[kMaxRank] = {0};
  int64_t numel = 1;

  /// From two shapes, aligned at their last axes, that fit each other (each pair of sizes equal, or one of them 1).
  Broadcast(std::span<const int64_t> a_sizes, std::span<const int64_t> b_sizes);
};

inline constexpr Rungs<2> binary_rungs{"binary", {"naive", "vec16"}};

/// y[p.numel]  ←  a, b.      Op: Add, Sub, Mul, Div.   T: float, bf16, f16, double (cpu).   B: Cpu, Cuda, Simt.
template <class Op, class B, class T>
void binary(B, Op, const Broadcast& p, const T* a, const T* b, T* y);

}  // namespace holt
