// A simulated camera: the domain shift of the benchmarks that photograph an existing data set.
//
// With X, Y ∈ −1 … 1 over the output image (pixel centres; X to the right, Y down), one image v becomes
//
//   w(X, Y) = v(R(θ)·[X, Y]ᵀ / (scale·(1 + p·X + p·Y)))          bilinear, 0 outside the image
//   u       = w ∗ Gaussian(σ pixels)                               5 × 5, 0 outside the image
//   out     = gain·u + background·(1 − u) + noise                  cut to 0 … 1
//
//   θ uniform in 12° ± 8° for each image; p = 0.10 on both axes: a keystone that is always the same, as one camera
//   leaves it; scale 0.95: the object appears that much smaller; σ = 0.6; gain = 0.95
//   background = 0.05 + 0.05·½(sin(2π·a·[X, Y] + φ₁) + sin(2π·b·[X, Y] + φ₂)), a = (1.5, 0.5), b = (−0.5, 2): two
//   waves, whose phases φ are uniform for each image and the same in all its channels; it lies in 0 … 0.1
//   noise uniform in ±0.02, for each pixel and channel
//
// All draws are Philox numbers of (seed, image): a picture does not depend on which others are taken.
#pragma once
#include <cstdint>
#include <vector>

#include "core/tensor.h"

namespace holt::data {

struct Camera {
  double rotation = 12, rotation_range = 8;  ///< degrees; positive turns the object counter-clockwise
  double projective = 0.10, scale = 0.95;
  double blur = 0.6;  ///< σ in pixels
  double gain = 0.95;
  double background = 0.05, texture = 0.05;
  double noise = 0.02;
};

/// Pictures of the u8 images [N, H, W, C] at these positions: f32 [positions, H, W, C] in 0 … 1. Position p is the
/// image's index for the random numbers.
Tensor photograph(const Camera& camera, const Tensor& images, const std::vector<int64_t>& positions, uint64_t seed);

}  // namespace holt::data
