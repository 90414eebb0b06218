// Largest values along neighbouring axes and their first positions: with x seen as [outer, reduced, inner],
//
//   values[o,i] = max_k x[o,k,i]      index[o,i] = smallest k with x[o,k,i] = values[o,i]
//   dx[o,k,i] = dy[o,i] if k = index[o,i], else 0
//
// A NaN is larger than everything, so it is never lost; the index is then that of the first NaN.
// Bytes: forward |x|, backward |dx|. Memory-bound everywhere.
#pragma once
#include "kernels/sum.h"

namespace holt {

inline constexpr Rungs<2> max_forward_rungs{"max_forward", {"naive", "split"}};
inline constexpr Rungs<2> max_backward_rungs{"max_backward", {"naive", "vec16"}};

/// values[outer, inner], index[outer, inner]  ←  x[outer, reduced, inner], reduced ≥ 1. Either may be null.
///   T: float, bf16, f16, double (cpu).   B: Cpu, Cuda, Simt.
template <class B, class T>
void max_forward(B, Reduction, const T* x, T* values, int64_t* index);

/// dx[outer, reduced, inner]  ←  dy[outer, inner], index[outer, inner].
template <class B, class T>
void max_backward(B, Reduction, const T* dy, const int64_t* index, T* dx);

}  // namespace holt
