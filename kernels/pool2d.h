// Max and average pooling of square windows on NHWC images: x [N,H,W,C] → y [N,OH,OW,C], OH = (H + 2·P − K) / S + 1.
//
//   window(o) = pixels o·S − P … o·S − P + K − 1 on each axis; only those inside the image are read
//   max:  y = max of the window, index = (kh·K + kw) of where in it;  dx[i] = Σ dy[o] over windows o whose index is i
//   avg:  y = Σ of the window / K² (padding counts as zeros);         dx[i] = Σ dy[o] / K² over windows o that hold i
//
// As in PyTorch the first of equal maxima wins, and a NaN wins over all (the last one, if several).
// Bytes: x and y once, and index for max. Flops: K²·|y|. Memory-bound: a pixel's other reads come from the cache.
// Numerics: sums in acc_t<T>. The backward gathers: each dx is one thread's sum in a fixed order, never an atomic.
#pragma once
#include "kernels/device.h"
#include "kernels/rungs.h"

namespace holt {

struct Pool2d {
  int64_t images;
  int height, width, channels;  ///< width·channels < 2^31
  int kernel, stride, padding;  ///< padding ≤ kernel/2: no window lies wholly outside
  int out_height, out_width;
};

/// begin … end − 1
struct PoolRange {
  int begin, end;
};

/// Pixels of window o that lie inside the image, on an axis of `size`.
HOLT_HD inline PoolRange pool_window(const Pool2d& p, int o, int size) {
  const int first = o * p.stride - p.padding, last = first + p.kernel;
  return {first < 0 ? 0 : first, last > size ? size : last};
}

/// Windows that hold pixel i, on an axis with `outputs` of them.
HOLT_HD inline PoolRange pool_windows_over(const Pool2d& p, int i, int outputs) {
  const int at = i + p.padding, end = at / p.stride + 1;
  return {at < p.kernel ? 0 : (at - p.kernel) / p.stride + 1, end > outputs ? outputs : end};
}

inline constexpr Rungs<2> max_pool2d_forward_rungs{"max_pool2d_forward", {"naive", "vec16"}};
inline constexpr Rungs<2> max_pool2d_backward_rungs{"max_pool2d_backward", {"naive", "vec16"}};
inline constexpr Rungs<2> avg_pool2d_forward_rungs{"avg_pool2d_forward", {"naive", "vec16"}};
inline constexpr Rungs<2> avg_pool2d_backward_rungs{"avg_pool2d_backward", {"naive", "vec16"}};

/// y, index (may be null)  ←  x.   T: float, bf16, f16, double (cpu).  I: uint8_t for K ≤ 16, else int32_t.
/// B: Cpu, Cuda, Simt.
template <class B, class T, class I>
void max_pool2d_forward(B, Pool2d, const T* x, T* y, I* index);

/// dx  ←  dy, index.
template <class B, class T, class I>
void max_pool2d_backward(B, Pool2d, const T* dy, const I* index, T* dx);

/// y  ←  x.
template <class B, class T>
void avg_pool2d_forward(B, Pool2d, const T* x, T* y);

/// dx  ←  dy.
template <class B, class T>
void avg_pool2d_backward(B, Pool2d, const T* dy, T* dx);

}  // namespace holt
