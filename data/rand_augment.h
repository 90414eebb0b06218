// RandAugment's fourteen changes (Cubuk et al. 2020), as torchvision's RandAugment makes them: nearest pixels, black
// where nothing is.
#pragma once
#include <string>
#include <vector>

#include "data/draws.h"
#include "data/png.h"

namespace holt::data {

/// One change. Its strength by magnitude 0 … 30, for an image of height × width; `sign` −1 turns it the other way
/// where it has two.
struct RandChange {
  const char* name;
  bool has_sign;
  double (*strength)(int magnitude, int64_t height, int64_t width);
  Image (*apply)(Image image, double strength);
};
/// Identity, ShearX, ShearY, TranslateX, TranslateY, Rotate, Brightness, Color, Contrast, Sharpness, Posterize,
/// Solarize, AutoContrast, Equalize.
const std::vector<RandChange>& rand_changes();

inline constexpr int kMostMagnitude = 30;

/// `ops` of the changes, drawn one after the other.
Image rand_augment(Image image, int ops, int magnitude, Draws& draws);

}  // namespace holt::data
