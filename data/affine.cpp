// Compiled without fused multiply-adds, as Pillow is (CMakeLists.txt): a fused one rounds less, and a coordinate then
// falls on the other side of a pixel's edge.
#include "data/affine.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>

#include "data/image.h"
#include "kernels/error.h"

namespace holt::data {
namespace {

// Towards zero, and everything negative outside (Pillow's COORD).
int64_t coordinate(double x) { return x < 0 ? -1 : static_cast<int64_t>(x); }

double radians(double degrees) { return degrees * (std::numbers::pi / 180); }

class Transform {
 public:
  Transform(const Image& in, const Affine& m, uint8_t fill) : in_(in), m_(m), out_{in.height, in.width, in.channels} {
    out_.pixels.assign(in.pixels.size(), fill);
  }

  Image nearest() {
    if (m_[1] == 0 && m_[3] == 0) return scaled();
    // 16.16 fixed point, where all corners fit.
    const auto fits = [&](int64_t x, int64_t y) {
      const double dx = static_cast<double>(x), dy = static_cast<double>(y);
      return std::abs(dx * m_[0] + dy * m_[1] + m_[2]) < 32768 && std::abs(dx * m_[3] + dy * m_[4] + m_[5]) < 32768;
    };
    if (fits(0, 0) && fits(in_.width - 1, in_.height - 1) && fits(0, in_.height - 1) && fits(in_.width - 1, 0))
      return fixed();
    return each_pixel([&](int64_t y, int64_t x, double sx, double sy) { take(y, x, coordinate(sy), coordinate(sx)); });
  }

  Image bilinear() {
    return each_pixel([&](int64_t y, int64_t x, double sx, double sy) {
      if (sx < 0 || sx >= static_cast<double>(in_.width) || sy < 0 || sy >= static_cast<double>(in_.height)) return;
      sx -= 0.5, sy -= 0.5;
      const double fx = std::floor(sx), fy = std::floor(sy), dx = sx - fx, dy = sy - fy;
      const auto left = static_cast<int64_t>(fx), top = static_cast<int64_t>(fy);
      const int64_t x0 = std::clamp<int64_t>(left, 0, in_.width - 1),
                    x1 = std::clamp<int64_t>(left + 1, 0, in_.width - 1);
      const uint8_t* upper = row(std::clamp<int64_t>(top, 0, in_.height - 1));
      const uint8_t* lower = top + 1 >= 0 && top + 1 < in_.height ? row(top + 1) : upper;
      const int64_t c = in_.channels;
      uint8_t* to = out_.pixels.data() + (y * in_.width + x) * c;
      for (int64_t k = 0; k < c; ++k) {
        const auto along = [&](const uint8_t* r) { return r[x0 * c + k] + (r[x1 * c + k] - r[x0 * c + k]) * dx; };
        const double above = along(upper), below = lower == upper ? above : along(lower);
        to[k] = static_cast<uint8_t>(above + (below - above) * dy);
      }
    });
  }

 private:
  const uint8_t* row(int64_t y) const { return in_.pixels.data() + y * in_.width * in_.channels; }
  void take(int64_t y, int64_t x, int64_t sy, int64_t sx) {
    if (sx < 0 || sx >= in_.width || sy < 0 || sy >= in_.height) return;
    std::memcpy(out_.pixels.data() + (y * in_.width + x) * in_.channels, row(sy) + sx * in_.channels,
                static_cast<size_t>(in_.channels));
  }

  template <class F>
  Image each_pixel(F&& f) {
    for (int64_t y = 0; y < in_.height; ++y)
      for (int64_t x = 0; x < in_.width; ++x) {
        const double px = static_cast<double>(x) + 0.5, py = static_cast<double>(y) + 0.5;
        f(y, x, m_[0] * px + m_[1] * py + m_[2], m_[3] * px + m_[4] * py + m_[5]);
      }
    return std::move(out_);
  }

  // Neither turned nor sheared. Coordinates are summed up, as Pillow does.
  Image scaled() {
    std::vector<int64_t> column(static_cast<size_t>(in_.width));
    double at = m_[2] + m_[0] * 0.5;
    for (int64_t& c : column) c = coordinate(at), at += m_[0];
    at = m_[5] + m_[4] * 0.5;
    for (int64_t y = 0; y < in_.height; ++y, at += m_[4])
      for (int64_t x = 0; x < in_.width; ++x) take(y, x, coordinate(at), column[static_cast<size_t>(x)]);
    return std::move(out_);
  }

  Image fixed() {
    const auto fix = [](double v) { return static_cast<int64_t>(std::floor(v * 65536 + 0.5)); };
    int64_t m[6];
    for (const int i : {0, 1, 3, 4}) m[i] = fix(m_[static_cast<size_t>(i)]);
    m[2] = fix(m_[2] + m_[0] * 0.5 + m_[1] * 0.5);
    m[5] = fix(m_[5] + m_[3] * 0.5 + m_[4] * 0.5);
    for (int64_t y = 0; y < in_.height; ++y)
      for (int64_t x = 0; x < in_.width; ++x)
        take(y, x, (m[5] + m[3] * x + m[4] * y) >> 16, (m[2] + m[0] * x + m[1] * y) >> 16);
    return std::move(out_);
  }

  const Image& in_;
  const Affine& m_;
  Image out_;
};

// Turned by `quarters` quarters of the circle, anticlockwise.
Image turned(const Image& in, int quarters) {
  Image out = in;
  const int64_t h = in.height, w = in.width, c = in.channels;
  for (int64_t y = 0; y < h; ++y)
    for (int64_t x = 0; x < w; ++x) {
      const int64_t sy = quarters == 1 ? x : quarters == 2 ? h - 1 - y : h - 1 - x;
      const int64_t sx = quarters == 1 ? w - 1 - y : quarters == 2 ? w - 1 - x : y;
      std::memcpy(out.pixels.data() + (y * w + x) * c, in.pixels.data() + (sy * w + sx) * c, static_cast<size_t>(c));
    }
  return out;
}

}  // namespace

Image transform(const Image& image, const Affine& from, Sampling sampling, uint8_t fill) {
  check_image("transform", image);
  Transform t(image, from, fill);
  return sampling == Sampling::nearest ? t.nearest() : t.bilinear();
}

Affine inverse_affine(double cx, double cy, double angle, double tx, double ty, double shear_x, double shear_y) {
  const double rot = radians(angle), sx = radians(shear_x), sy = radians(shear_y);
  const double a = std::cos(rot - sy) / std::cos(sy);
  const double b = -std::cos(rot - sy) * std::tan(sx) / std::cos(sy) - std::sin(rot);
  const double c = std::sin(rot - sy) / std::cos(sy);
  const double d = -std::sin(rot - sy) * std::tan(sx) / std::cos(sy) + std::cos(rot);
  Affine m = {d, -b, 0, -c, a, 0};
  m[2] += m[0] * (-cx - tx) + m[1] * (-cy - ty);
  m[5] += m[3] * (-cx - tx) + m[4] * (-cy - ty);
  m[2] += cx;
  m[5] += cy;
  return m;
}

Image rotate(const Image& image, double degrees, Sampling sampling, uint8_t fill) {
  double angle = std::fmod(degrees, 360.0);
  if (angle < 0) angle += 360.0;
  if (angle == 0) return image;
  if (angle == 180) return turned(image, 2);
  if ((angle == 90 || angle == 270) && image.height == image.width) return turned(image, angle == 90 ? 1 : 3);
  const double w = static_cast<double>(image.width) / 2.0, h = static_cast<double>(image.height) / 2.0;
  const double r = -radians(angle);
  // Pillow rounds the matrix to 15 decimals, so that right angles come out clean.
  const auto round15 = [](double x) { return std::strtod(format("{:.15f}", x).c_str(), nullptr); };
  Affine m = {round15(std::cos(r)), round15(std::sin(r)), 0, round15(-std::sin(r)), round15(std::cos(r)), 0};
  m[2] = m[0] * -w + m[1] * -h + w;
  m[5] = m[3] * -w + m[4] * -h + h;
  return transform(image, m, sampling, fill);
}

}  // namespace holt::data
