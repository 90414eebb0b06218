// 2-D convolution (cross-correlation) of NHWC images with weights [Cout, KH, KW, Cin/G], strided, dilated, in G groups
// of channels that do not meet (G = Cin = Cout: depthwise).
//
//   y[n,i,j,o]  = relu?(bias[o] + Σ_{u,v,c} x[n, i·sh + u·dh − ph, j·sw + v·dw − pw, g(o) + c]·w[o,u,v,c])
//   dx[n,a,b,g(o) + c] = Σ_{o,u,v} dy[n, (a + ph − u·dh)/sh, (b + pw − v·dw)/sw, o]·w[o,u,v,c]     where these divide
//   dw[o,u,v,c] = Σ_{n,i,j} dy[n,i,j,o]·x[n, i·sh + u·dh − ph, j·sw + v·dw − pw, g(o) + c]
//
//   x, dx [N,H,W,Cin], 0 outside     w, dw [Cout,KH,KW,Cin/G]     y, dy [N,OH,OW,Cout]
//   OH = (H + 2·ph − ((KH − 1)·dh + 1))/sh + 1     g(o) = ⌊o / (Cout/G)⌋·Cin/G, the group's first channel of x
//
// Flops: 2·N·OH·OW·Cout·KH·KW·Cin/G each. Bytes: sizeof(T)·(|x| + |w| + |y|). A 3×3 convolution of 64 channels does 144
// flops a byte in float: bound by arithmetic; first layers (Cin = 1, 3), 1×1 ones of few
// channels and depthwise ones (9 flops an element) by memory.
// Numerics: sums in acc_t<T>, rounded once. dw sums N·OH·OW terms: on GPUs in pieces, whose sums are added in order.
// The gradient of the bias is bias_activation_backward's. On cpu: oneDNN, kernels/weight_sums.h or (AVX2)
// kernels/window_product.h, and for most 3×3 windows kernels/winograd.h, which multiplies less often than the
// definition. On cuda, rung "vendor": cuDNN (kernels/cuda/cudnn.h).
#pragma once
#include "kernels/device.h"
#include "kernels/packed.h"
#include "kernels/rungs.h"

namespace holt {

struct Conv2d {
  int64_t n, h, w, cin, cout, kh, kw;
  int64_t stride_h = 1, stride_w = 1, pad_h = 0, pad_w = 0;
  int64_t dilation_h = 1, dilation_w = 1;
  int64_t groups = 1;  ///< divides cin and cout
  bool relu = false;   ///< forward only

  HOLT_HD int64_t reach_h() const { return (kh - 1) * dilation_h + 1; }  ///< pixels from the first tap to the last
  HOLT_HD int64_t reach_w() const { return (kw - 1) * dilation_w + 1; }
  HOLT_HD int64_t out_h() const { return (h + 2 * pad_h - reach_h()) / stride_h + 1; }
  HOLT_HD int64_t out_w() const { return (w + 2 * pad_w - reach_w()) / stride_w + 1; }
  HOLT_HD int64_t group_in() const { return cin / groups; }  ///< channels of x in a group
  HOLT_HD int64_t group_out() const { return cout / groups; }
  int64_t x_size() const { return n * h * w * cin; }
  int64_t w_size() const { return cout * kh * kw * group_in(); }
  int64_t y_size() const { return n * out_h() * out_w() * cout; }
  double flops() const { return 2.0 * static_cast<double>(y_size()) * static_cast<double>(kh * kw * group_in()); }
};

inline constexpr Rungs<2> conv2d_forward_rungs{"conv2d_forward", {"naive", "implicit_gemm"}, true};
inline constexpr Rungs<2> conv2d_backward_data_rungs{"conv2d_backward_data", {"naive", "implicit_gemm"}, true};
inline constexpr Rungs<3> conv2d_backward_weights_rungs{
    "conv2d_backward_weights", {"naive", "chunks", "implicit_gemm"}, true};

// T: float, bf16, f16, double (cpu). H + 2·ph ≥ reach_h() and W + 2·pw ≥ reach_w().

/// y ← x, w, bias; bias may be null.
template <class B, class T>
void conv2d_forward(B, Conv2d, const T* x, const T* w, const T* bias, T* y);

/// dx ← dy, w
template <class B, class T>
void conv2d_backward_data(B, Conv2d, const T* dy, const T* w, T* dx);

/// dw ← dy, x
template <class B, class T>
void conv2d_backward_weights(B, Conv2d, const T* dy, const T* x, T* dw);

/// y ← relu?(scale[o]·(x∗w) + shift[o] + residual?), what a frozen batch norm makes of it: all in float, rounded once,
/// but that in bf16 the products see scale[o]·w rounded. relu is p's; residual is like y, may be y itself (then it is
/// not copied) or null. What is made of w and scale is found or put in `packed`, if there is one. T: float, bf16. No
/// size is zero.
template <class T>
void conv2d_affine(Cpu, Conv2d, const T* x, const float* w, const float* scale, const float* shift, const T* residual,
                   T* y, Packed* packed = nullptr);

}  // namespace holt
