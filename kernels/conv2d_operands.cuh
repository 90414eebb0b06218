// A convolution's operands, as gemm.cuh wants them. With pixels p = (n, i, j) of the image that is written and taps
// t = (u, v, c) of the window over the image that is read:
//
//   forward            y[p, o]  = Σ_t Patches(p, t)·Weights(t, o)     over x; i·stride + u·dilation − pad
//   gradient of data   dx[p, c] = Σ_t Patches(p, t)·Weights(t, c)     over dy; (i + pad − u·dilation)/stride if it
//   divides … of weights       dw[o, t] = Σ_p dy(p, o)·Patches(p, t)          the forward's patches
//
// So one gather serves all three. Groups are a batch of such products: o and c count within the group. With stride s
// the data gradient multiplies s² − 1 zeros for each number: it costs s² times its flops, which matters for the few
// downsampling layers of a network.
#pragma once
#include "kernels/conv2d.h"
#include "kernels/gemm.cuh"

namespace holt::gemm {

/// n / d for 0 ≤ n < 2³¹ by a multiplication and a shift (Granlund & Montgomery 1994): patches divide four times an
/// address.
struct Divider {
  uint32_t d, magic, shift;

  explicit Divider(int64_t divisor) : d(static_cast<uint32_t>(std::max<int64_t>(divisor, 1))), shift(0) {
    while ((uint64_t{1} << shift) < d) ++shift;
    magic = static_cast<uint32_t>((((uint64_t{1} << shift) - d) << 32) / d + 1);
  }
  __device__ int divide(int n, int& rest) const {
    const uint32_t q = (static_cast<uint32_t>((uint64_t{static_cast<uint32_t>(n)} * magic) >> 32) + n) >> shift;
    rest = n - static_cast<int>(q * d);
    return static_cast<int>(q);
  }
};

/// The matrix [pixels, taps] that is never made. `k_contiguous` if taps run along k (otherwise pixels do).
template <class T>
struct Patches {
  const T* data;                                         // [N, H, W, C]
  int pixels, taps, h, w, channels, batch_stride;        // batch_stride: the channels of a group
  int step_h, step_w, tap_h, tap_w, offset_h, offset_w;  // (i·step + u·tap + offset) / stride
  Divider out_h, out_w, channel, window_w, stride_h, stride_w;
  bool k_contiguous, vectors;

  __device__ const T* at(const T* group, int o, int k) const {
    const int pixel = k_contiguous ? o : k, tap = k_contiguous ? k : o;
    if (pixel >= pixels || tap >= taps) return nullptr;
    int i, j, u, v, c, rest_a, rest_b;
    const int n = out_h.divide(out_w.divide(pixel, j), i);
    u = window_w.divide(channel.divide(tap, c), v);
    const int sa = i * step_h + u * tap_h + offset_h, sb = j * step_w + v * tap_w + offset_w;
    if (sa < 0 || sb < 0) return nullptr;
    const int a = stride_h.divide(sa, rest_a), b = stride_w.divide(sb, rest_b);
    if (rest_a != 0 || rest_b != 0 || a >= h || b >= w) return nullptr;
    return group + (((int64_t{n} * h + a) * w + b) * channels + c);
  }
};

/// A group's weights [Cout/G, window, Cin/G] as the matrix that patches are multiplied by: k = (window, channel of the
/// image that is read), o = channel of the image that is written.
template <class T>
struct Weights {
  const T* data;
  int outer, k;
  Divider channel;
  int64_t stride_o, stride_window, stride_channel, batch_stride;  // batch_stride: from a group's weights to the next's
  bool k_contiguous, vectors;

  __device__ const T* at(const T* group, int o, int kk) const {
    if (o >= outer || kk >= k) return nullptr;
    int c;
    const int window = channel.divide(kk, c);
    return group + (o * stride_o + window * stride_window + c * stride_channel);
  }
};

template <class T>
Patches<T> patches_of_x(const Conv2d& p, const T* x, bool taps_along_k) {
  const auto i = [](int64_t n) { return static_cast<int>(n); };
  return {.data = x,
          .pixels = i(p.n * p.out_h() * p.out_w()),
          .taps = i(p.kh * p.kw * p.group_in()),
          .h = i(p.h),
          .w = i(p.w),
          .channels = i(p.cin),
          .batch_stride = i(p.group_in()),
          .step_h = i(p.stride_h),
          .step_w = i(p.stride_w),
          .tap_h = i(p.dilation_h),
          .tap_w = i(p.dilation_w),
          .offset_h = i(-p.pad_h),
          .offset_w = i(-p.pad_w),
          .out_h = Divider(p.out_h()),
          .out_w = Divider(p.out_w()),
          .channel = Divider(p.group_in()),
          .window_w = Divider(p.kw),
          .stride_h = Divider(1),
          .stride_w = Divider(1),
          .k_contiguous = taps_along_k,
          .vectors = p.group_in() % Vec<T>::size == 0 && aligned16(x)};
}

template <class T>
Patches<T> patches_of_dy(const Conv2d& p, const T* dy) {
  const auto i = [](int64_t n) { return static_cast<int>(n); };
  return {.data = dy,
          .pixels = i(p.n * p.h * p.w),
          .taps = i(p.kh * p.kw * p.group_out()),
          .h = i(p.out_h()),
          .w = i(p.out_w()),
          .channels = i(p.cout),
          .batch_stride = i(p.group_out()),
          .step_h = 1,
          .step_w = 1,
          .tap_h = i(-p.dilation_h),
          .tap_w = i(-p.dilation_w),
          .offset_h = i(p.pad_h),
          .offset_w = i(p.pad_w),
          .out_h = Divider(p.h),
          .out_w = Divider(p.w),
          .channel = Divider(p.group_out()),
          .window_w = Divider(p.kw),
          .stride_h = Divider(p.stride_h),
          .stride_w = Divider(p.stride_w),
          .k_contiguous = true,
          .vectors = p.group_out() % Vec<T>::size == 0 && aligned16(dy)};
}

/// For the forward (w as it lies, along k), or the data gradient (turned: along Cin).
template <class T>
Weights<T> weights(const Conv2d& p, const T* w, bool forward) {
  const int64_t window = p.kh * p.kw, in = p.group_in(), out = p.group_out();
  return {.data = w,
          .outer = static_cast<int>(forward ? out : in),
          .k = static_cast<int>(window * (forward ? in : out)),
          .channel = Divider(forward ? in : out),
          .stride_o = forward ? window * in : 1,
          .stride_window = in,
          .stride_channel = forward ? 1 : window * in,
          .batch_stride = out * window * in,
          .k_contiguous = forward,
          .vectors = in % Vec<T>::size == 0 && aligned16(w)};
}

}  // namespace holt::gemm
