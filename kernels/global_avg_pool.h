// Mean over an image's pixels: x is [N, P, C], P = H·W.
//
//   y[n,c] = 1/P Σ_p x[n,p,c]        dx[n,p,c] = dy[n,c] / P
//
// Bytes: N·P·C·sizeof(T) (and the small other side) each way. Flops: N·P·C. Memory-bound.
// Numerics: sums in acc_t<T>, in a fixed order.
#pragma once
#include "kernels/device.h"
#include "kernels/rungs.h"

namespace holt {

struct GlobalAvgPool {
  int64_t images, pixels, channels;
};

inline constexpr Rungs<3> global_avg_pool_forward_rungs{"global_avg_pool_forward", {"naive", "block", "vec16"}};
inline constexpr Rungs<2> global_avg_pool_backward_rungs{"global_avg_pool_backward", {"naive", "vec16"}};

/// y[N,C]  ←  x[N,P,C], P ≥ 1.      T: float, bf16, f16, double (cpu).   B: Cpu, Cuda, Simt.
template <class B, class T>
void global_avg_pool_forward(B, GlobalAvgPool, const T* x, T* y);

/// dx[N,P,C]  ←  dy[N,C].
template <class B, class T>
void global_avg_pool_backward(B, GlobalAvgPool, const T* dy, T* dx);

}  // namespace holt
