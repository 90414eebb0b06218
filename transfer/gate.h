// `+gate`: an image far from every seen class is not claimed by one. In closed form from the features f of the seen
// training images: class means μ_c, the shared within-class covariance Σ, and at prediction
//
//   z_c ← z_c − (β / d)·(f − μ_c)ᵀ (Σ + ε·(tr Σ / d)·I)⁻¹ (f − μ_c)         for each seen class c
//
// Source: holt's own (the Mahalanobis distance as in Lee et al. 2018, used on the seen logits alone).
#pragma once
#include "nn/module.h"
#include "transfer/nearest_class_mean.h"

namespace holt::transfer {

class Gate {
 public:
  /// From the features of the seen training images; a seen class without any keeps its logit. With Σ = 0 (a single
  /// image for each class, or features that never differ) the distance is Euclidean.
  static Gate fit(const Features& features, int64_t classes, double beta, double shrink);

  /// Logits [N,C] after the gate, from features [N,D] of the same device. Not differentiable.
  Tensor apply(const Tensor& features, const Tensor& logits) const;

  Gate to(Device device) const;
  nn::State state() const;  ///< for a file
  /// For a network of `width` features and `classes` classes. Error where tensors are missing, left over or misshapen.
  static Gate from_state(const nn::State& state, int64_t width, int64_t classes);

 private:
  Tensor whitening_;  // L⁻¹ [D,D] of the shrunk Σ = L·Lᵀ: squared lengths after it are the distances
  Tensor means_;      // L⁻¹·μ_c [K,D]
  Tensor scatter_;    // −β/D at (k, c_k) [K,C]: sends the K distances to their logits
};

}  // namespace holt::transfer
