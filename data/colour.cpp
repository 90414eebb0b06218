// Where Pillow works in float, so does this, operation for operation, and without fused multiply-adds (CMakeLists.txt).
#include "data/colour.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "data/image.h"
#include "kernels/error.h"

namespace holt::data {
namespace {

void check_colours(const char* op, const Image& i) {
  check((i.channels == 1 || i.channels == 3) && i.height >= 1 && i.width >= 1 &&
            static_cast<int64_t>(i.pixels.size()) == i.height * i.width * i.channels,
        "{}: expected a gray or RGB image, got {} × {} pixels of {} channels in {} bytes", op, i.height, i.width,
        i.channels, i.pixels.size());
}

using Table = std::array<uint8_t, 256>;

template <class F>
Table table(F&& f) {
  Table t;
  for (int i = 0; i < 256; ++i) t[static_cast<size_t>(i)] = f(i);
  return t;
}
void apply(Image& image, const Table& t) {
  for (uint8_t& p : image.pixels) p = t[p];
}
void apply(Image& image, const Table* of_channel) {
  const size_t c = static_cast<size_t>(image.channels);
  for (size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = of_channel[i % c][image.pixels[i]];
}

using Histogram = std::array<int64_t, 256>;
Histogram histogram(const Image& image, int64_t channel) {
  Histogram h{};
  for (size_t i = static_cast<size_t>(channel); i < image.pixels.size(); i += static_cast<size_t>(image.channels))
    ++h[image.pixels[i]];
  return h;
}

// Pillow's ImagingBlend(from, to, factor), by the product of the factor and each difference.
class Blend {
 public:
  explicit Blend(double factor) : inside_(static_cast<float>(factor) >= 0 && static_cast<float>(factor) <= 1) {
    for (int d = -255; d <= 255; ++d)
      product_[static_cast<size_t>(d + 255)] = static_cast<float>(factor) * static_cast<float>(d);
  }
  uint8_t operator()(int from, int to) const {
    const float x = static_cast<float>(from) + product_[static_cast<size_t>(to - from + 255)];
    return static_cast<uint8_t>(inside_ ? x : std::clamp(x, 0.0f, 255.0f));
  }

 private:
  std::array<float, 511> product_;
  bool inside_;
};

struct Hsv {
  uint8_t h, s, v;
};

// Pillow's rgb2hsv_row and hsv2rgb (Convert.c).
Hsv to_hsv(int r, int g, int b) {
  const int most = std::max({r, g, b}), least = std::min({r, g, b});
  if (most == least) return {0, 0, static_cast<uint8_t>(most)};
  const auto range = static_cast<float>(most - least);
  const float s = range / static_cast<float>(most);
  const float rc = static_cast<float>(most - r) / range, gc = static_cast<float>(most - g) / range,
              bc = static_cast<float>(most - b) / range;
  const float h = r == most ? bc - gc : static_cast<float>(g == most ? 2.0 + rc - bc : 4.0 + gc - rc);
  const auto turned = static_cast<float>(std::fmod(h / 6.0 + 1.0, 1.0));
  const auto byte = [](float x) { return static_cast<uint8_t>(std::clamp(static_cast<int>(x * 255.0), 0, 255)); };
  return {byte(turned), byte(s), static_cast<uint8_t>(most)};
}
void to_rgb(Hsv c, uint8_t* to) {
  if (c.s == 0) {
    to[0] = to[1] = to[2] = c.v;
    return;
  }
  const int i = static_cast<int>(std::floor(static_cast<float>(c.h) * 6.0 / 255.0));
  const auto f = static_cast<float>(static_cast<float>(c.h) * 6.0 / 255.0 - static_cast<float>(i));
  const auto s = static_cast<float>(static_cast<float>(c.s) / 255.0), v = static_cast<float>(c.v);
  const auto byte = [](double x) { return static_cast<uint8_t>(std::clamp(static_cast<int>(std::round(x)), 0, 255)); };
  // s·f is a float's product in Pillow, taken from 1 in double.
  const uint8_t p = byte(v * (1.0 - s)), q = byte(v * (1.0 - s * f)), t = byte(v * (1.0 - s * (1.0 - f)));
  const uint8_t order[6][3] = {{c.v, t, p}, {q, c.v, p}, {p, c.v, t}, {p, q, c.v}, {t, p, c.v}, {c.v, p, q}};
  std::memcpy(to, order[i % 6], 3);
}

}  // namespace

Image adjust_brightness(Image image, double factor) {
  check_colours("adjust_brightness", image);
  const Blend blend(factor);
  apply(image, table([&](int x) { return blend(0, x); }));
  return image;
}

Image adjust_contrast(Image image, double factor) {
  check_colours("adjust_contrast", image);
  const Histogram h = histogram(image.channels == 1 ? image : to_channels(image, 1), 0);
  int64_t sum = 0;
  for (int i = 0; i < 256; ++i) sum += i * h[static_cast<size_t>(i)];
  const int mean = static_cast<int>(static_cast<double>(sum) / static_cast<double>(image.height * image.width) + 0.5);
  const Blend blend(factor);
  apply(image, table([&](int x) { return blend(mean, x); }));
  return image;
}

Image adjust_saturation(Image image, double factor) {
  check_colours("adjust_saturation", image);
  if (image.channels == 1) return image;
  const Image gray = to_channels(image, 1);
  const Blend blend(factor);
  for (size_t i = 0; i < gray.pixels.size(); ++i)
    for (size_t c = 0; c < 3; ++c) image.pixels[3 * i + c] = blend(gray.pixels[i], image.pixels[3 * i + c]);
  return image;
}

Image adjust_sharpness(Image image, double factor) {
  check_colours("adjust_sharpness", image);
  if (image.height < 3 || image.width < 3) return image;
  const Blend blend(factor);
  const int64_t c = image.channels, row = image.width * c;
  Image out = image;
  // A border that equals its smoothed self blends to itself. The filter's sums are whole thirteenths: no float can
  // round them another way than integers do.
  for (int64_t y = 1; y + 1 < image.height; ++y)
    for (int64_t i = c; i + c < row; ++i) {
      const uint8_t* p = image.pixels.data() + y * row + i;
      int sum = 4 * p[0];
      for (const int64_t r : {-row, int64_t{0}, row}) sum += p[r - c] + p[r] + p[r + c];
      out.pixels[static_cast<size_t>(y * row + i)] = blend((2 * sum + 13) / 26, p[0]);
    }
  return out;
}

Image adjust_hue(Image image, double turn) {
  check_colours("adjust_hue", image);
  check(turn >= -0.5 && turn <= 0.5, "adjust_hue: expected a turn of -0.5 … 0.5, got {}", turn);
  if (image.channels == 1) return image;
  const auto steps = static_cast<uint8_t>(static_cast<int>(turn * 255));
  for (size_t i = 0; i < image.pixels.size(); i += 3) {
    uint8_t* p = image.pixels.data() + i;
    Hsv c = to_hsv(p[0], p[1], p[2]);
    c.h = static_cast<uint8_t>(c.h + steps);
    to_rgb(c, p);
  }
  return image;
}

Image posterize(Image image, int bits) {
  check_colours("posterize", image);
  check(bits >= 0 && bits <= 8, "posterize: expected 0 … 8 bits, got {}", bits);
  const int mask = 0xFF & ~((1 << (8 - bits)) - 1);
  for (uint8_t& p : image.pixels) p = static_cast<uint8_t>(p & mask);
  return image;
}

Image solarize(Image image, double threshold) {
  check_colours("solarize", image);
  apply(image, table([&](int x) { return static_cast<uint8_t>(x < threshold ? x : 255 - x); }));
  return image;
}

Image autocontrast(Image image) {
  check_colours("autocontrast", image);
  Table tables[3];
  for (int64_t c = 0; c < image.channels; ++c) {
    const Histogram h = histogram(image, c);
    int low = 0, high = 255;
    while (low < 255 && h[static_cast<size_t>(low)] == 0) ++low;
    while (high > 0 && h[static_cast<size_t>(high)] == 0) --high;
    const double scale = high > low ? 255.0 / (high - low) : 1;
    tables[c] = table([&](int x) {
      if (high <= low) return static_cast<uint8_t>(x);
      return static_cast<uint8_t>(std::clamp(static_cast<int>(x * scale + -low * scale), 0, 255));
    });
  }
  apply(image, tables);
  return image;
}

Image equalize(Image image) {
  check_colours("equalize", image);
  Table tables[3];
  for (int64_t c = 0; c < image.channels; ++c) {
    const Histogram h = histogram(image, c);
    int64_t last = 0, sum = 0, kinds = 0;
    for (const int64_t n : h)
      if (n > 0) last = n, sum += n, ++kinds;
    const int64_t step = (sum - last) / 255;
    int64_t n = step / 2;
    tables[c] = table([&](int x) {
      if (kinds <= 1 || step == 0) return static_cast<uint8_t>(x);
      const auto value = static_cast<uint8_t>(std::min<int64_t>(n / step, 255));
      n += h[static_cast<size_t>(x)];
      return value;
    });
  }
  apply(image, tables);
  return image;
}

}  // namespace holt::data
