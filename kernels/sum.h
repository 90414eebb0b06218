// Sums over neighbouring axes: with x seen as [outer, reduced, inner],
//
//   y[o,i] = scale·Σ_k x[o,k,i]         dx[o,k,i] = scale·dy[o,i]
//
// scale 1 gives the sum, 1 / reduced the mean. inner = 1 sums rows, outer = 1 columns; any other set of axes is a
// sequence of such calls.
//
// Bytes: |x| read once. Flops: one addition an element. Memory-bound everywhere.
// Numerics: sums in acc_t<T>, cut into chunks of a fixed size whose sums are added in order (in double on cpu): the
// error grows as the square root of a chunk, not of the whole, and neither threads nor grids change a bit.
#pragma once
#include "kernels/device.h"
#include "kernels/rungs.h"

namespace holt {

struct Reduction {
  int64_t outer, reduced, inner;
};

inline constexpr Rungs<2> sum_rungs{"sum", {"naive", "split"}};
inline constexpr Rungs<2> sum_backward_rungs{"sum_backward", {"naive", "vec16"}};

/// y[outer, inner]  ←  x[outer, reduced, inner]; 0 where reduced is 0.
///   T: float, bf16, f16, double (cpu).   B: Cpu, Cuda, Simt.
template <class B, class T>
void sum(B, Reduction, double scale, const T* x, acc_t<T>* y);

/// dx[outer, reduced, inner]  ←  dy[outer, inner].
template <class B, class T>
void sum_backward(B, Reduction, double scale, const acc_t<T>* dy, T* dx);

}  // namespace holt
