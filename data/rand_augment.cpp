#include "data/rand_augment.h"

#include <cmath>
#include <numbers>

#include "data/affine.h"
#include "data/colour.h"
#include "kernels/error.h"

namespace holt::data {
namespace {

// torch.linspace(0, most, 31)[magnitude], in its float.
double share(int magnitude, double most) { return static_cast<float>(most * magnitude / kMostMagnitude); }
double none(int, int64_t, int64_t) { return 0; }
double shear(int m, int64_t, int64_t) { return share(m, 0.3); }
double enhance(int m, int64_t, int64_t) { return share(m, 0.9); }
double across(int m, int64_t, int64_t width) { return share(m, 150.0 / 331 * static_cast<double>(width)); }
double down(int m, int64_t height, int64_t) { return share(m, 150.0 / 331 * static_cast<double>(height)); }

// The paper's shear is a factor; torchvision's an angle, which it is turned into and back.
double degrees_of(double factor) { return std::atan(factor) * (180 / std::numbers::pi); }
Image moved(const Image& i, double tx, double ty) {
  return transform(i, inverse_affine(static_cast<double>(i.width) * 0.5, static_cast<double>(i.height) * 0.5, 0,
                                     std::trunc(tx), std::trunc(ty), 0, 0));
}

}  // namespace

const std::vector<RandChange>& rand_changes() {
  static const std::vector<RandChange> all = {
      {"Identity", false, none, [](Image i, double) { return i; }},
      {"ShearX", true, shear,
       [](Image i, double s) { return transform(i, inverse_affine(0, 0, 0, 0, 0, degrees_of(s), 0)); }},
      {"ShearY", true, shear,
       [](Image i, double s) { return transform(i, inverse_affine(0, 0, 0, 0, 0, 0, degrees_of(s))); }},
      {"TranslateX", true, across, [](Image i, double s) { return moved(i, s, 0); }},
      {"TranslateY", true, down, [](Image i, double s) { return moved(i, 0, s); }},
      {"Rotate", true, [](int m, int64_t, int64_t) { return share(m, 30); },
       [](Image i, double s) { return rotate(i, s); }},
      {"Brightness", true, enhance, [](Image i, double s) { return adjust_brightness(std::move(i), 1 + s); }},
      {"Color", true, enhance, [](Image i, double s) { return adjust_saturation(std::move(i), 1 + s); }},
      {"Contrast", true, enhance, [](Image i, double s) { return adjust_contrast(std::move(i), 1 + s); }},
      {"Sharpness", true, enhance, [](Image i, double s) { return adjust_sharpness(std::move(i), 1 + s); }},
      {"Posterize", false, [](int m, int64_t, int64_t) { return 8 - std::nearbyint(m / (kMostMagnitude / 4.0)); },
       [](Image i, double s) { return posterize(std::move(i), static_cast<int>(s)); }},
      {"Solarize", false, [](int m, int64_t, int64_t) { return 255 - share(m, 255); },
       [](Image i, double s) { return solarize(std::move(i), s); }},
      {"AutoContrast", false, none, [](Image i, double) { return autocontrast(std::move(i)); }},
      {"Equalize", false, none, [](Image i, double) { return equalize(std::move(i)); }}};
  return all;
}

Image rand_augment(Image image, int ops, int magnitude, Draws& draws) {
  check(ops >= 0 && magnitude >= 0 && magnitude <= kMostMagnitude,
        "rand_augment: expected 0 or more changes of a magnitude of 0 … {}, got {} of {}", kMostMagnitude, ops,
        magnitude);
  for (int k = 0; k < ops; ++k) {
    const RandChange& c = rand_changes()[static_cast<size_t>(draws.below(std::ssize(rand_changes())))];
    const double strength = c.strength(magnitude, image.height, image.width);
    const bool other_way = c.has_sign && draws.coin();
    image = c.apply(std::move(image), other_way ? -strength : strength);
  }
  return image;
}

}  // namespace holt::data
