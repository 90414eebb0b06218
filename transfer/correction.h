// φ of `+align`: a correction of the input that knows nothing of classes. 35 numbers, zero at first (then φ(x) = x):
//
//   u = x − x₀                    x₀: the darkest training pixel, so that zero is background
//   u ← u + K ∗ u                 K: 5×5, every channel alike; zero padding
//   u ← u at (I + A)[X, Y, 1]ᵀ / (1 + P₁X + P₂Y)        A: 2×3, P: 2; bilinear, zeros outside
//   φ(x) = (u + x₀)·(1 + c₁) + c₂
//
// It can express what a camera or a hand does to an image (blur or sharpen, move, turn, shear, tilt, contrast,
// brightness), and nothing that tells one class from another. Source: holt's own; see docs/method.md.
#pragma once
#include "nn/module.h"

namespace holt::transfer {

class Correction : public nn::Cloneable<Correction> {
 public:
  /// `background`: x₀ for each channel, of normalised inputs.
  explicit Correction(const std::vector<float>& background);
  /// [N,H,W,C] → the same.
  Tensor forward(const Tensor& x) override;
  nn::Parts parts() override {
    return {.parameters = {{"kernel", &kernel}, {"projection", &projection}, {"contrast", &contrast}},
            .buffers = {{"background", &background}}};
  }
  std::string label() const override { return "Correction"; }

  Tensor kernel;      ///< K [1,5,5,1]
  Tensor projection;  ///< A and P [8]: projective_sample's theta
  Tensor contrast;    ///< c₁, c₂ [2]
  Tensor background;  ///< x₀ [C]
};

}  // namespace holt::transfer
