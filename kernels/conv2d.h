// 2-D convolution (cross-correlation) of NHWC images with weights [Cout, KH, KW, Cin].
//
//   y[n,i,j,o]  = relu?(bias[o] + Σ_{u,v,c} x[n, i·sh + u − ph, j·sw + v − pw, c]·w[o,u,v,c])      x is 0 outside
//   dx[n,a,b,c] = Σ_{o,u,v} dy[n, (a + ph − u)/sh, (b + pw − v)/sw, o]·w[o,u,v,c]                   where these divide
//   dw[o,u,v,c] = Σ_{n,i,j} dy[n,i,j,o]·x[n, i·sh + u − ph, j·sw + v − pw, c]
//
//   x, dx [N,H,W,Cin]     w, dw [Cout,KH,KW,Cin]     y, dy [N,OH,OW,Cout],  OH = (H + 2·ph − KH)/sh + 1
//
// Flops: 2·N·OH·OW·Cout·KH·KW·Cin each. Bytes: sizeof(T)·(|x| + |w| + |y|). A 3×3 convolution of 64 channels does 144
// flops a byte in float: bound by arithmetic; first layers (Cin = 1, 3) and 1×1 ones of few channels by memory.
// Numerics: sums in acc_t<T>, rounded once. dw sums N·OH·OW terms: on GPUs in pieces, whose sums are added in order.
// The gradient of the bias is bias_activation_backward's. On cuda, rung "vendor": cuDNN (kernels/cuda/cudnn.h).
#pragma once
#include "kernels/device.h"
#include "kernels/rungs.h"

namespace holt {

struct Conv2d {
  int64_t n, h, w, cin, cout, kh, kw;
  int64_t stride_h = 1, stride_w = 1, pad_h = 0, pad_w = 0;
  bool relu = false;  ///< forward only

  HOLT_HD int64_t out_h() const { return (h + 2 * pad_h - kh) / stride_h + 1; }
  HOLT_HD int64_t out_w() const { return (w + 2 * pad_w - kw) / stride_w + 1; }
  int64_t x_size() const { return n * h * w * cin; }
  int64_t w_size() const { return cout * kh * kw * cin; }
  int64_t y_size() const { return n * out_h() * out_w() * cout; }
  double flops() const { return 2.0 * static_cast<double>(y_size()) * static_cast<double>(kh * kw * cin); }
};

inline constexpr Rungs<2> conv2d_forward_rungs{"conv2d_forward", {"naive", "implicit_gemm"}, true};
inline constexpr Rungs<2> conv2d_backward_data_rungs{"conv2d_backward_data", {"naive", "implicit_gemm"}, true};
inline constexpr Rungs<2> conv2d_backward_weights_rungs{"conv2d_backward_weights", {"naive", "implicit_gemm"}, true};

// T: float, bf16, f16, double (cpu). H + 2·ph ≥ KH and W + 2·pw ≥ KW.

/// y ← x, w, bias; bias may be null.
template <class B, class T>
void conv2d_forward(B, Conv2d, const T* x, const T* w, const T* bias, T* y);

/// dx ← dy, w
template <class B, class T>
void conv2d_backward_data(B, Conv2d, const T* dy, const T* w, T* dx);

/// dw ← dy, x
template <class B, class T>
void conv2d_backward_weights(B, Conv2d, const T* dy, const T* x, T* dw);

}  // namespace holt
