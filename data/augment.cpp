#include "data/augment.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "data/colour.h"
#include "data/rand_augment.h"
#include "kernels/error.h"

namespace holt::data {
namespace {

// Four enhancements in a random order, each by a random factor; as torchvision's ColorJitter, all are drawn whether
// used or not.
Image jitter(Image image, const Augment& a, Draws& draws) {
  std::array<int, 4> order = {0, 1, 2, 3};
  for (int64_t i = 3; i > 0; --i)
    std::swap(order[static_cast<size_t>(i)], order[static_cast<size_t>(draws.below(i + 1))]);
  const auto factor = [&](double range) { return draws.uniform(std::max(0.0, 1 - range), 1 + range); };
  const double brightness = factor(a.brightness), contrast = factor(a.contrast), saturation = factor(a.saturation),
               hue = draws.uniform(-a.hue, a.hue);
  for (const int op : order) {
    if (op == 0 && a.brightness > 0) image = adjust_brightness(std::move(image), brightness);
    if (op == 1 && a.contrast > 0) image = adjust_contrast(std::move(image), contrast);
    if (op == 2 && a.saturation > 0) image = adjust_saturation(std::move(image), saturation);
    if (op == 3 && a.hue > 0) image = adjust_hue(std::move(image), hue);
  }
  return image;
}

}  // namespace

const std::vector<std::string>& augment_presets() {
  static const std::vector<std::string> names = {"none", "light", "imagenet", "randaugment"};
  return names;
}

Augment augment_preset(const std::string& name) {
  if (name == "none") return {};
  if (name == "light") return {.flip = true};
  if (name == "imagenet") return {.flip = true, .crop = true, .brightness = 0.4, .contrast = 0.4, .saturation = 0.4};
  if (name == "randaugment") return {.flip = true, .crop = true, .rand_ops = 2, .rand_magnitude = 9};
  fail("augment: expected none, light, imagenet or randaugment, got '{}'", name);
}

void validate(const Augment& a) {
  check(a.least_area > 0 && a.least_area <= a.most_area && a.most_area <= 1,
        "augment: a crop's share of the image must be in 0 … 1, got {} … {}", a.least_area, a.most_area);
  check(a.least_ratio > 0 && a.least_ratio <= a.most_ratio && std::isfinite(a.most_ratio),
        "augment: a crop's ratio of width to height must be positive, got {} … {}", a.least_ratio, a.most_ratio);
  for (const double range : {a.brightness, a.contrast, a.saturation, a.mixup, a.cutmix})
    check(range >= 0 && std::isfinite(range),
          "augment: brightness, contrast, saturation, mixup and cutmix must be 0 or more, got {}", range);
  check(a.hue >= 0 && a.hue <= 0.5, "augment: hue must be in 0 … 0.5, got {}", a.hue);
  check(a.rand_ops >= 0 && a.rand_magnitude >= 0 && a.rand_magnitude <= kMostMagnitude,
        "augment: expected 0 or more changes of a magnitude of 0 … {}, got {} of {}", kMostMagnitude, a.rand_ops,
        a.rand_magnitude);
}

Box random_crop(const Augment& a, int64_t height, int64_t width, Draws& draws) {
  const auto h = static_cast<double>(height), w = static_cast<double>(width);
  for (int attempt = 0; attempt < 10; ++attempt) {
    const double area = h * w * draws.uniform(a.least_area, a.most_area);
    const double ratio = std::exp(draws.uniform(std::log(a.least_ratio), std::log(a.most_ratio)));
    const auto crop_width = static_cast<int64_t>(std::nearbyint(std::sqrt(area * ratio))),
               crop_height = static_cast<int64_t>(std::nearbyint(std::sqrt(area / ratio)));
    if (crop_width < 1 || crop_width > width || crop_height < 1 || crop_height > height) continue;
    const int64_t top = draws.below(height - crop_height + 1), left = draws.below(width - crop_width + 1);
    return {top, left, crop_height, crop_width};
  }
  Box b = {0, 0, height, width};
  if (w / h < a.least_ratio) b.height = static_cast<int64_t>(std::nearbyint(w / a.least_ratio));
  if (w / h > a.most_ratio) b.width = static_cast<int64_t>(std::nearbyint(h * a.most_ratio));
  b.height = std::clamp<int64_t>(b.height, 1, height), b.width = std::clamp<int64_t>(b.width, 1, width);
  b.top = (height - b.height) / 2, b.left = (width - b.width) / 2;
  return b;
}

Image change_pixels(Image image, const Augment& a, Draws& draws) {
  if (a.brightness > 0 || a.contrast > 0 || a.saturation > 0 || a.hue > 0) image = jitter(std::move(image), a, draws);
  if (a.rand_ops > 0) image = rand_augment(std::move(image), a.rand_ops, a.rand_magnitude, draws);
  return image;
}

}  // namespace holt::data
