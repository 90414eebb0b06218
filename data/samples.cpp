#include "data/samples.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace holt::data {
namespace {

// Upper byte of the Philox stream: tells these draws apart from each other and from a Generator of the same seed.
constexpr uint64_t kPlacementStream = uint64_t{0xD2} << 56, kPixelStream = uint64_t{0xD3} << 56;

// Uniform in 0 … n−1 from 32 random bits; off from uniform by at most n/2^32.
int64_t below(int64_t n, uint32_t bits) {
  return static_cast<int64_t>(uint64_t{bits} * static_cast<uint64_t>(n) >> 32);
}

class Memory : public Samples {
 public:
  explicit Memory(Dataset d) : d_(std::move(d)) {
    validate(d_);
    holt::check(d_.images.numel() > 0, "loader: {} is empty, its images are {}", d_.name, d_.images.shape());
    shape_ = Shape{d_.images.size(1), d_.images.size(2), d_.images.size(3)};
    labels_ = d_.labels.data<int64_t>();
  }
  const std::string& name() const override { return d_.name; }
  const std::vector<std::string>& classes() const override { return d_.classes; }
  int64_t size() const override { return d_.size(); }
  int64_t label(int64_t i) const override { return labels_[i]; }
  Shape image_shape() const override { return shape_; }
  bool bytes() const override { return d_.images.dtype() == DType::u8; }
  bool slow() const override { return false; }
  void check(const Augment& a) const override {
    holt::check(!a.changes_pixels() || (bytes() && (shape_[2] == 1 || shape_[2] == 3)),
                "loader: only 8-bit images of 1 or 3 channels can be cropped and recoloured, {} has {}", d_.name,
                d_.images);
  }

  bool make(int64_t i, const Making& m, const ScaleShift& by, float* out) const override {
    const Placement p = placement(m, i);
    const int64_t n = shape_.numel();
    if (!bytes()) {
      write_image(d_.images.data<float>() + i * n, shape_, p, by, out);
      return true;
    }
    const uint8_t* pixels = d_.images.data<uint8_t>() + i * n;
    if (!m.augment.changes_pixels()) {
      write_image(pixels, shape_, p, by, out);
      return true;
    }
    Draws draws = pixel_draws(m, i);
    Image image{shape_[0], shape_[1], shape_[2], std::vector<uint8_t>(pixels, pixels + n)};
    if (m.augment.crop)
      image = resize(image, random_crop(m.augment, shape_[0], shape_[1], draws), shape_[0], shape_[1]);
    image = change_pixels(std::move(image), m.augment, draws);
    write_image(image.pixels.data(), shape_, p, by, out);
    return true;
  }

 private:
  Dataset d_;
  Shape shape_;
  const int64_t* labels_ = nullptr;
};

// A row of pixels that stay in order: channel by channel in the innermost loop, of which the compiler knows the count.
template <int C, class T>
void write_row(const T* from, int64_t pixels, const float* scale, const float* shift, float* to) {
  for (int64_t x = 0; x < pixels; ++x)
    for (int c = 0; c < C; ++c) to[x * C + c] = static_cast<float>(from[x * C + c]) * scale[c] + shift[c];
}
template <int C, class T>
void write_row_mirrored(const T* from, int64_t pixels, const float* scale, const float* shift, float* to) {
  for (int64_t x = 0; x < pixels; ++x)
    for (int c = 0; c < C; ++c)
      to[x * C + c] = static_cast<float>(from[(pixels - 1 - x) * C + c]) * scale[c] + shift[c];
}

}  // namespace

ScaleShift::ScaleShift(const Normalize& n, int64_t channels, bool bytes)
    : scale(static_cast<size_t>(channels)), shift(static_cast<size_t>(channels)) {
  for (size_t k = 0; k < scale.size(); ++k) {
    const float mean = n.mean.empty() ? 0 : n.mean[k], std = n.std.empty() ? 1 : n.std[k];
    scale[k] = 1 / (bytes ? 255 * std : std);
    shift[k] = -mean / std;
  }
}

Placement placement(const Making& m, int64_t sample) {
  const Augment& a = m.augment;
  if (a.pad == 0 && !a.flip) return {};
  const Philox4 r = philox(m.seed, kPlacementStream | static_cast<uint64_t>(m.epoch), static_cast<uint64_t>(sample));
  const int64_t span = 2 * int64_t{a.pad} + 1;
  return {below(span, r.v[0]) - a.pad, below(span, r.v[1]) - a.pad, a.flip && (r.v[2] >> 31) != 0};
}

Draws pixel_draws(const Making& m, int64_t sample) {
  return {m.seed, kPixelStream | static_cast<uint64_t>(m.epoch), sample};
}

template <class T>
void write_image(const T* image, const Shape& shape, Placement p, const ScaleShift& by, float* out) {
  const int64_t height = shape[0], width = shape[1], channels = shape[2], row = width * channels;
  const float *scale = by.scale.data(), *shift = by.shift.data();
  for (int64_t y = 0; y < height; ++y, out += row) {
    const int64_t sy = y + p.dy;
    const bool whole = p.dx == 0 && sy >= 0 && sy < height;
    if (whole && (channels == 1 || channels == 3)) {
      const T* from = image + sy * row;
      if (channels == 3)
        (p.flip ? write_row_mirrored<3, T> : write_row<3, T>)(from, width, scale, shift, out);
      else
        (p.flip ? write_row_mirrored<1, T> : write_row<1, T>)(from, width, scale, shift, out);
      continue;
    }
    for (int64_t x = 0; x < width; ++x) {
      const int64_t sx = (p.flip ? width - 1 - x : x) + p.dx;
      const bool inside = sy >= 0 && sy < height && sx >= 0 && sx < width;
      const T* source = inside ? image + sy * row + sx * channels : nullptr;
      for (int64_t c = 0; c < channels; ++c)
        out[x * channels + c] = inside ? static_cast<float>(source[c]) * scale[c] + shift[c] : shift[c];
    }
  }
}
template void write_image(const uint8_t*, const Shape&, Placement, const ScaleShift&, float*);
template void write_image(const float*, const Shape&, Placement, const ScaleShift&, float*);

std::shared_ptr<const Samples> in_memory(Dataset dataset) { return std::make_shared<const Memory>(std::move(dataset)); }

}  // namespace holt::data
