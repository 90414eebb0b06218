// Bilinear sampling of NHWC images at a projective transform of their own pixel grid, zeros outside.
//
//   X = (2j + 1)/W − 1, Y = (2i + 1)/H − 1     centre of output pixel (i, j): the image spans −1 … 1, edge to edge, as
//                                              PyTorch's grid_sample has it with align_corners=False
//   D = 1 + P₁X + P₂Y                          P = theta[6..7]
//   (X', Y') = (I + A)[X, Y, 1]ᵀ / D           A = theta[0..5], row by row; theta is shared by all images
//   y[n,i,j,c] = Σ_k w_k·x[n, k, c]            k: the four pixels around (X', Y'), w_k the product of what is left of a
//                                              pixel to them on each axis
//   dx[n,k,c] = Σ w_k·dy over the outputs that sample k
//   dX' = W/2·Σ_{n,c} dy·∂y/∂right, dY' alike; dA = Σ_{i,j} [dX', dY']ᵀ[X, Y, 1]/D, dP = −Σ (dX'·X' + dY'·Y')[X, Y]/D
//
// A point with D ≤ 1e-3 lies outside: behind the horizon. A NaN in theta gives NaN. Between pixels y is differentiable;
// on a pixel's row or column ∂y/∂theta is the derivative towards below and right.
// Bytes: forward 2·N·H·W·C·sizeof(T), backward 3. Flops: forward about 8 an element, backward 20; memory-bound on
// images of a few channels, once the geometry (40 flops and a division a pixel) is shared by several images.
// Numerics: the *displacement* W/2·(X' − X) is computed, not the position, and split into whole pixels and a fraction:
// theta = 0 displaces by exactly 0, so y equals x, and small displacements keep all their digits at any W. A pixel of
// weight 0 is not read, so a NaN does not spread to its neighbours. Sums in acc_t<T>; those of theta in a fixed order
// of fixed pieces, in double on the CPU. The GPU's dx gathers: no atomics.
#pragma once
#include <cmath>

#include "kernels/device.h"
#include "kernels/rungs.h"

namespace holt {

struct ProjectiveSample {
  int64_t images;
  int height, width, channels;  ///< height, width ≥ 1 and < 2^24; height·width·channels < 2^31
  HOLT_HD int64_t pixels() const { return int64_t{height} * width; }
  HOLT_HD int64_t elements() const { return pixels() * channels; }  ///< of an image
};

/// Where one output pixel samples: among rows `row`, row + 1 and columns `column`, column + 1. Its four taps k are
/// numbered 2·(below) + (right).
template <class A>
struct ProjectiveTap {
  int row, column;  ///< −2 if the point lies outside: then no tap is a pixel
  A down, right;    ///< how far the point lies below `row` and right of `column`, 0 … 1
  A x, y;           ///< normalised centre of the output pixel
  A source_x, source_y;
  A scale;  ///< 1/D

  HOLT_HD A weight(int k) const { return (k / 2 ? down : 1 - down) * (k % 2 ? right : 1 - right); }
  /// ∂weight/∂right and ∂weight/∂down, in pixels.
  HOLT_HD A slope_right(int k) const { return (k / 2 ? down : 1 - down) * A(k % 2 ? 1 : -1); }
  HOLT_HD A slope_down(int k) const { return (k % 2 ? right : 1 - right) * A(k / 2 ? 1 : -1); }
  /// Which pixel of the image tap k is; −1 if none.
  HOLT_HD int64_t pixel(const ProjectiveSample& p, int k) const {
    const int r = row + k / 2, c = column + k % 2;
    return r >= 0 && r < p.height && c >= 0 && c < p.width ? int64_t{r} * p.width + c : -1;
  }

  /// What an output pixel with Σ dy·∂y/∂right and Σ dy·∂y/∂down, in pixels, adds to dtheta.
  template <class S>
  HOLT_HD void add_to(const ProjectiveSample& p, A d_right, A d_down, S (&dtheta)[8]) const {
    const A u = d_right * scale * (A(p.width) / 2), v = d_down * scale * (A(p.height) / 2);
    const A q = -(u * source_x + v * source_y);
    const A each[8] = {u * x, u * y, u, v * x, v * y, v, q * x, q * y};
    for (int k = 0; k < 8; ++k) dtheta[k] += S(each[k]);
  }
};

namespace detail {

// Splits a displacement from pixel `at` into the pixel left of (or above) the point and the rest.
template <class A>
HOLT_HD void split_displacement(A displacement, int at, int& pixel, A& rest) {
  const A whole = std::floor(displacement);
  pixel = at + (whole == whole ? static_cast<int>(whole) : 0);  // a NaN goes on in `rest`
  rest = displacement - whole;
}

}  // namespace detail

template <class A>
HOLT_HD ProjectiveTap<A> projective_tap(const ProjectiveSample& p, const A* theta, int row, int column) {
  ProjectiveTap<A> t;
  t.x = A(2 * column + 1 - p.width) / A(p.width);
  t.y = A(2 * row + 1 - p.height) / A(p.height);
  const A q = theta[6] * t.x + theta[7] * t.y;
  t.scale = 1 / (1 + q);
  const A dx = (theta[0] * t.x + theta[1] * t.y + theta[2] - t.x * q) * t.scale;
  const A dy = (theta[3] * t.x + theta[4] * t.y + theta[5] - t.y * q) * t.scale;
  t.source_x = t.x + dx;
  t.source_y = t.y + dy;
  const A right = dx * (A(p.width) / 2), down = dy * (A(p.height) / 2);
  // A point that is displaced by the image's size has left it, from wherever it came.
  if (1 + q <= A(1e-3) || std::fabs(right) >= A(p.width) || std::fabs(down) >= A(p.height)) {
    t.row = t.column = -2;
    t.down = t.right = 0;
  } else {
    detail::split_displacement(right, column, t.column, t.right);
    detail::split_displacement(down, row, t.row, t.down);
  }
  return t;
}

inline constexpr Rungs<2> projective_sample_forward_rungs{"projective_sample_forward", {"naive", "images"}};
inline constexpr Rungs<2> projective_sample_backward_rungs{"projective_sample_backward", {"naive", "tiles"}};

/// y[N,H,W,C]  ←  x[N,H,W,C], theta[8].      T: float, bf16, f16, double (cpu).   B: Cpu, Cuda, Simt.
template <class B, class T>
void projective_sample_forward(B, ProjectiveSample, const T* x, const acc_t<T>* theta, T* y);

/// dx[N,H,W,C], dtheta[8]  ←  dy, x (read for dtheta only), theta. Each is written if its pointer is not null.
template <class B, class T>
void projective_sample_backward(B, ProjectiveSample, const T* dy, const T* x, const acc_t<T>* theta, T* dx,
                                acc_t<T>* dtheta);

}  // namespace holt
