// Softmax and log-softmax over the last axis.
//
//   softmax:     y = exp(x − m) / Σ exp(x − m),  m = max x        dx = y·(dy − Σ dy·y)
//   log-softmax: y = (x − m) − log Σ exp(x − m)                   dx = dy − exp(y)·Σ dy
//
// Bytes: forward 2·R·C·sizeof(T), backward 3·R·C·sizeof(T). Flops: about 25·R·C where there is an exp, else 5·R·C.
// Numerics: subtracting the maximum keeps exp from overflowing; 16-bit types are float inside. A row of −∞ only, or
// with a NaN or +∞ in it, gives NaN.
#pragma once
#include "kernels/device.h"
#include "kernels/rungs.h"

namespace holt {

struct Softmax {
  int64_t rows, cols;
  bool log;
};

inline constexpr Rungs<3> softmax_forward_rungs{"softmax_forward", {"naive", "warp", "vec16"}};
inline constexpr Rungs<3> softmax_backward_rungs{"softmax_backward", {"naive", "warp", "vec16"}};

/// y[R,C]  ←  x[R,C].      T: float, bf16, f16, double (cpu).   B: Cpu, Cuda, Simt.
template <class B, class T>
void softmax_forward(B, Softmax, const T* x, T* y);

/// dx[R,C]  ←  dy[R,C], the forward's y[R,C].
template <class B, class T>
void softmax_backward(B, Softmax, const T* dy, const T* y, T* dx);

}  // namespace holt
