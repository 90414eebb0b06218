// Convolutions on the CPU as one product of large matrices, of which the windows of the image are one, gathered block
// by block (implicit GEMM). Internal to kernels/: conv2d.cpp is its caller.
//
//   forward          y[pixel, o]  = relu?(scale[o]·Σ_{u,v,c} x[window of pixel](u,v,c)·w[o](u,v,c) + shift[o])
//   weight gradient  dw[o](u,v,c) = Σ_pixel dy[pixel, o]·x[window of pixel](u,v,c)
//
// With AVX2 this is what oneDNN 2.6 lacks: its weight gradients and its strided 3×3 windows run at a quarter to half of
// the peak (docs/cpu-speed.md). With AVX-512 it has better ones, and weight_sums.h too.
//
// Flops: as conv2d.h counts them. Bytes: x is gathered KH·KW/stride² times, mostly from the caches; two blocks stay
// there (large_product.h). Numerics: float sums, rounded once; the same bits for any number of threads.
#pragma once
#include "kernels/conv2d.h"

namespace holt::window_product {

/// Whether p can be computed here (one group, no dilation) and this is the faster way.
bool suits_forward(const Conv2d& p);
bool suits_backward_weights(const Conv2d& p);

// For a p without groups and dilation; no size is zero. T: float, bf16, f16. W: T or float.

/// y ← x, w; scale and shift may be null.
template <class T, class W>
void conv2d_forward(const Conv2d& p, const T* x, const W* w, const float* scale, const float* shift, T* y);

/// dw ← dy, x
template <class T>
void conv2d_backward_weights(const Conv2d& p, const T* dy, const T* x, T* dw);

}  // namespace holt::window_product
