// Changes of an image's colours, bit for bit as Pillow's ImageEnhance and ImageOps make them, which torchvision's
// transforms call on PIL images.
//
// Images are 8-bit, gray or RGB (an Error otherwise); gray has neither saturation nor hue and stays as it is. A factor
// of 1 changes nothing, 0 takes the property away, more than 1 exaggerates it.
#pragma once
#include "data/png.h"

namespace holt::data {

/// Towards black.
Image adjust_brightness(Image image, double factor);
/// Towards the mean of the gray image.
Image adjust_contrast(Image image, double factor);
/// Towards the gray image.
Image adjust_saturation(Image image, double factor);
/// Towards the image smoothed by a 3 × 3 filter (5 in the middle, 1 around); the border has no neighbours and stays.
Image adjust_sharpness(Image image, double factor);
/// Turns the hue by `turn` of the circle, in −0.5 … 0.5 (an Error otherwise), in Pillow's 8-bit HSV.
Image adjust_hue(Image image, double turn);

/// Keeps the `bits` upper bits, 0 … 8.
Image posterize(Image image, int bits);
/// Inverts values of `threshold` and more.
Image solarize(Image image, double threshold);
/// Stretches each channel so that its darkest value becomes 0 and its lightest 255.
Image autocontrast(Image image);
/// Makes each channel's histogram flat.
Image equalize(Image image);

}  // namespace holt::data
