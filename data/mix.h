// Mix-up (Zhang et al. 2018) and cut-mix (Yun et al. 2019): each image of a batch takes something from its neighbour,
// and the loss counts both labels.
//
//   mix-up    x[i] ← λ·x[i] + (1 − λ)·x[i−1]                       λ ~ Beta(α, α), one for the batch
//   cut-mix   a box of x[i] ← the same box of x[i−1]               of about (1 − λ)·H·W pixels; then λ is its exact
//   rest
//
// As torchvision's transforms of these names: the neighbour is the batch rolled by one, the box's middle is uniform,
// the box ends at the image's border.
#pragma once
#include "data/loader.h"

namespace holt::data {

/// Mixes if the augmentation says so: a function of its arguments. Writes images, other_labels and share. A batch of
/// one stays as it is.
void mix(Batch& batch, const Augment& augment, uint64_t seed, int64_t epoch, int64_t step);

}  // namespace holt::data
