// Random changes of training images, drawn from (seed, epoch, sample): the same whatever the batch and the worker.
//
//   random resized crop   a part of the image, resized to the network's size          (Szegedy et al. 2015)
//   colour jitter         brightness, contrast, saturation, hue by random factors, in a random order
//   RandAugment           `rand_ops` of fourteen changes of strength `rand_magnitude`   (Cubuk et al. 2020)
//   shift, mirror         while the pixels become the network's input
//
// Mix-up and cut-mix change whole batches: data/mix.h.
#pragma once
#include <string>
#include <vector>

#include "data/draws.h"
#include "data/image.h"

namespace holt::data {

struct Augment {
  int pad = 0;        ///< shift by up to `pad` pixels each way, zeros outside (He et al. 2016, §4.2)
  bool flip = false;  ///< left-right, with probability ½

  bool crop = false;                                   ///< random resized crop
  double least_area = 0.08, most_area = 1;             ///< its share of the image
  double least_ratio = 3.0 / 4, most_ratio = 4.0 / 3;  ///< its width / height
  /// Factors are uniform in 1 ± these (not below 0), the hue turns by up to ± `hue` of the circle (at most 0.5).
  double brightness = 0, contrast = 0, saturation = 0, hue = 0;
  int rand_ops = 0, rand_magnitude = 9;  ///< magnitudes are 0 … 30

  double mixup = 0, cutmix = 0;  ///< the α of their Beta distributions; 0: without. Both: one of the two, at random

  /// Whether more than a shift and a mirror image is asked for: that needs 8-bit pixels of 1 or 3 channels.
  bool changes_pixels() const {
    return crop || brightness > 0 || contrast > 0 || saturation > 0 || hue > 0 || rand_ops > 0;
  }
};

/// The words of augment_preset(), in the order of their strength.
const std::vector<std::string>& augment_presets();
/// none; light: mirror images; imagenet: random resized crop, mirror, jitter of 0.4 in brightness, contrast and
/// saturation; randaugment: random resized crop, mirror, RandAugment of 2 changes of magnitude 9. Error for another
/// word.
Augment augment_preset(const std::string& name);

/// Error (beginning with "augment") for what makes no sense.
void validate(const Augment&);

/// The part of an image that the random resized crop takes: torchvision's RandomResizedCrop.get_params. Ten draws of an
/// area and a ratio; if none fits, the middle, as large as the ratios allow.
Box random_crop(const Augment&, int64_t height, int64_t width, Draws&);

/// Jitter and RandAugment, on an image of the network's size.
Image change_pixels(Image image, const Augment&, Draws&);

}  // namespace holt::data
