// Affine changes of place, bit for bit as Pillow's Image.transform(AFFINE) and Image.rotate make them.
//
//   out(x, y) = in(a·(x + ½) + b·(y + ½) + c,  d·(x + ½) + e·(y + ½) + f)        in in pixels, (½, ½) the first one's
//   middle
#pragma once
#include <array>

#include "data/png.h"

namespace holt::data {

/// a, b, c, d, e, f.
using Affine = std::array<double, 6>;

enum class Sampling { nearest, bilinear };

/// An image of the same size; `fill` where there is nothing to take. Error for an empty image.
Image transform(const Image& image, const Affine& from, Sampling sampling = Sampling::nearest, uint8_t fill = 0);

/// What out(x, y) takes when the image is rotated clockwise by `angle` degrees about (cx, cy), sheared by `shear_x` and
/// `shear_y` degrees, and moved by (tx, ty): torchvision's inverse matrix at scale 1.
Affine inverse_affine(double cx, double cy, double angle, double tx, double ty, double shear_x, double shear_y);

/// Anticlockwise by `degrees` about the middle, corners cut, as Pillow's rotate: right angles (of square images; 180°
/// of all) without a loss.
Image rotate(const Image& image, double degrees, Sampling sampling = Sampling::nearest, uint8_t fill = 0);

}  // namespace holt::data
