// The gradient of a convolution's weights on a CPU with AVX-512, for the shapes where oneDNN's is slow. Internal to
// kernels/: conv2d.cpp is its caller.
//
//   dw[o, col] = Σ_p dy[p, o]·patch[p, col]      p = (n, i, j) an output pixel,  col = (u, v, c) a place in its window
//
// A matrix product with sums over all pixels, whose right operand is never in memory as a whole. For pieces of pixels
// some columns of the patches are packed, zeros outside of the image, to where the first-level cache holds them;
// against each eight output channels a tile of 8 × 48 sums then runs over the piece in registers. What oneDNN 2.6 does
// instead loads and stores its sums with every row of the image: fine at 28×28, half the speed at 7×7, and less with a
// stride.
//
// Flops: as conv2d.h. Bytes: x and dy come from the outer caches once for each twelve panels of 48 columns. Numerics:
// sums in float over pieces of 128 pixels (256 in bf16), the pieces' sums added in order: the same bits for any number
// of threads, each of which has its own columns or channels. bf16 is multiplied in pairs by VDPBF16PS, which takes
// subnormal numbers for zero, as oneDNN does.
#pragma once
#include "kernels/conv2d.h"

namespace holt::weight_sums {

/// Whether this build has the kernel for T (float: AVX-512, bf16: its BF16 too), the shape fits its tiles, and it is
/// the faster one there.
template <class T>
bool suits(const Conv2d& p);

/// dw ← dy, x, for a p that suits; no size is zero.
template <class T>
void conv2d_backward_weights(const Conv2d& p, const T* dy, const T* x, T* dw);

}  // namespace holt::weight_sums
