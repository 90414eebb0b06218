// 3×3 convolution on the CPU by Winograd's minimal filtering, F(4×4, 3×3): 36 multiplications for 16 outputs where the
// definition takes 144. Internal to kernels/: conv2d.cpp is its caller.
//
//   y = Aᵀ[(G·w·Gᵀ) ⊙ (Bᵀ·d·B)]A      d a 6×6 tile of x, y the 4×4 outputs over it       (Lavin & Gray, CVPR 2016)
//
// summed over channels before Aᵀ…A, so that the ⊙ of all tiles and channels is 36 matrix products, one for each place
// of the tile:   M_i[tile, o] = Σ_c V_i[tile, c]·U_i[c, o]      V = BᵀdB, U = GwGᵀ
//
//   forward            x → V,  w → U,                          M → y
//   data gradient      the same from dy, with w turned by 180° and its channels exchanged
//   weight gradient    U_i[c, o] = Σ_tile V_i[tile, c]·Z_i[tile, o],   Z = A·dy·Aᵀ,   dw = Gᵀ·U·G      (the adjoint)
//
// The three transforms are polynomials evaluated at 0, ±√½, ±√2 and ∞ (winograd_transforms.h), points whose products
// are 1, so that no coefficient grows.
//
// Flops: a quarter of the multiplications that conv2d.h counts (a third at 14² and 7², where 4 does not divide the
// output), and some four additions per element of V and M. Bytes: V and M stay in the second-level cache (blocks of
// tiles); U is 4·|w|. Numerics: always in float, bf16 being widened as it comes and rounded as it goes; the largest
// error is up to twice that of a direct float sum in y and dx, up to six times in dw, 1e-5 of the tensor's rms at most
// (docs/cpu-speed.md). The same bits for any number of threads.
//
// An infinity or NaN in x reaches all 16 outputs of its tile as NaN, not only the nine around it.
//
// HOLT_WINOGRAD=0 leaves all to the direct convolutions.
#pragma once
#include "kernels/conv2d.h"

namespace holt::winograd {

/// What the three products are to p: they differ in what pays.
enum class Pass { forward, backward_data, backward_weights };

/// Whether p is 3×3 without stride, dilation or groups, its channels fill the vectors, and this is the faster way.
/// T: float, bf16.
template <class T>
bool suits(const Conv2d& p, Pass);

/// What follows the sums of channel o, in float: relu?(scale[o]·sum + shift[o] + residual). Null pointers are left out.
template <class T>
struct Epilogue {
  const float *scale = nullptr, *shift = nullptr;
  const T* residual = nullptr;  ///< like y
  bool relu = false;
};

// For a p that suits; no size is zero.

/// y ← x, w. T, W: float, bf16; W is T or float. U is found or put in `packed`, if there is one.
template <class T, class W>
void conv2d_forward(const Conv2d& p, const T* x, const W* w, const Epilogue<T>&, T* y, Packed* packed = nullptr);

/// dx ← dy, w
template <class T>
void conv2d_backward_data(const Conv2d& p, const T* dy, const T* w, T* dx);

/// dw ← dy, x
template <class T>
void conv2d_backward_weights(const Conv2d& p, const T* dy, const T* x, T* dw);

}  // namespace holt::winograd
