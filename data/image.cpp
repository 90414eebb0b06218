#include "data/image.h"

#include <algorithm>
#include <cmath>
#include <string_view>

#include "kernels/error.h"
#include "kernels/file.h"

namespace holt::data {
namespace {

// Pillow's fixed point: 8 bits of pixel, 2 of head room, the rest of 32 for the weights.
constexpr int kBits = 32 - 8 - 2;

void check_image(const char* who, const Image& i) {
  check(i.height >= 1 && i.width >= 1 && i.channels >= 1 && i.channels <= 4 &&
            static_cast<int64_t>(i.pixels.size()) == i.height * i.width * i.channels,
        "{}: {} × {} pixels of {} channels, but {} bytes", who, i.height, i.width, i.channels, i.pixels.size());
}

const char* other_format(std::span<const std::byte> bytes) {
  const std::string_view head(reinterpret_cast<const char*>(bytes.data()), std::min<size_t>(bytes.size(), 16));
  if (head.starts_with("GIF8")) return "a GIF";
  if (head.starts_with("BM")) return "a BMP";
  if (head.starts_with("RIFF") && head.substr(std::min<size_t>(8, head.size())).starts_with("WEBP")) return "a WebP";
  if (head.starts_with("II*") || head.starts_with("MM")) return "a TIFF";
  if (head.starts_with("P5") || head.starts_with("P6")) return "a PNM";
  return nullptr;
}

// The weights of one axis: output i is the sum of weight[i][k]·in[first[i] + k].
struct Filter {
  std::vector<int64_t> first;
  std::vector<std::vector<int32_t>> weight;
};

Filter triangle(int64_t in, int64_t out) {
  const double scale = static_cast<double>(in) / static_cast<double>(out), support = std::max(scale, 1.0);
  Filter f;
  std::vector<double> w;
  for (int64_t i = 0; i < out; ++i) {
    const double centre = (static_cast<double>(i) + 0.5) * scale;
    const auto begin = std::max<int64_t>(0, static_cast<int64_t>(centre - support + 0.5));
    const auto end = std::min(in, static_cast<int64_t>(centre + support + 0.5));
    w.clear();
    double sum = 0;
    for (int64_t x = begin; x < end; ++x) {
      w.push_back(std::max(0.0, 1 - std::abs((static_cast<double>(x) - centre + 0.5) * (1 / support))));
      sum += w.back();
    }
    f.first.push_back(begin);
    f.weight.emplace_back();
    for (const double x : w) f.weight.back().push_back(static_cast<int32_t>(0.5 + x / sum * (1 << kBits)));
  }
  return f;
}

uint8_t rounded(int32_t sum) { return static_cast<uint8_t>(std::clamp(sum >> kBits, 0, 255)); }

Image resize_rows(const Image& in, int64_t width) {
  const Filter f = triangle(in.width, width);
  const int64_t c = in.channels;
  Image out{in.height, width, c, std::vector<uint8_t>(static_cast<size_t>(in.height * width * c))};
  uint8_t* to = out.pixels.data();
  for (int64_t y = 0; y < in.height; ++y)
    for (int64_t x = 0; x < width; ++x) {
      const auto& weight = f.weight[static_cast<size_t>(x)];
      const uint8_t* from = in.pixels.data() + (y * in.width + f.first[static_cast<size_t>(x)]) * c;
      int32_t sum[4] = {1 << (kBits - 1), 1 << (kBits - 1), 1 << (kBits - 1), 1 << (kBits - 1)};
      for (const int32_t w : weight)
        for (int64_t k = 0; k < c; ++k) sum[k] += w * *from++;
      for (int64_t k = 0; k < c; ++k) *to++ = rounded(sum[k]);
    }
  return out;
}

Image resize_columns(const Image& in, int64_t height) {
  const Filter f = triangle(in.height, height);
  const int64_t row = in.width * in.channels;
  Image out{height, in.width, in.channels, std::vector<uint8_t>(static_cast<size_t>(height * row))};
  std::vector<int32_t> sum(static_cast<size_t>(row));
  for (int64_t y = 0; y < height; ++y) {
    std::fill(sum.begin(), sum.end(), 1 << (kBits - 1));
    const uint8_t* from = in.pixels.data() + f.first[static_cast<size_t>(y)] * row;
    for (const int32_t w : f.weight[static_cast<size_t>(y)]) {
      for (int64_t i = 0; i < row; ++i) sum[static_cast<size_t>(i)] += w * from[i];
      from += row;
    }
    for (int64_t i = 0; i < row; ++i)
      out.pixels[static_cast<size_t>(y * row + i)] = rounded(sum[static_cast<size_t>(i)]);
  }
  return out;
}

}  // namespace

Image decode_image(std::span<const std::byte> bytes, const std::string& name, int64_t shorter_side) {
  if (is_jpeg(bytes)) return decode_jpeg(bytes, name, shorter_side);
  if (is_png(bytes)) return decode_png(bytes, name);
  check(!bytes.empty(), "{}: the file is empty", name);
  const char* other = other_format(bytes);
  fail("{}: {}; JPEG and PNG are read", name, other ? other : "no image format that is known");
}

Image load_image(const std::string& path, int64_t shorter_side) {
  const std::string bytes = read_file(path);
  return decode_image(std::as_bytes(std::span(bytes)), path, shorter_side);
}

Image to_channels(const Image& image, int64_t channels) {
  check_image("to_channels", image);
  check(channels == 1 || channels == 3, "to_channels: 1 (gray) or 3 (RGB) can be made, got {}", channels);
  const bool alpha = image.channels % 2 == 0, gray = image.channels <= 2;
  if (image.channels == channels) return image;
  const int64_t pixels = image.height * image.width;
  Image out{image.height, image.width, channels, std::vector<uint8_t>(static_cast<size_t>(pixels * channels))};
  for (int64_t i = 0; i < pixels; ++i) {
    const uint8_t* from = image.pixels.data() + i * image.channels;
    uint8_t* to = out.pixels.data() + i * channels;
    int rgb[3] = {from[0], from[gray ? 0 : 1], from[gray ? 0 : 2]};
    if (alpha) {
      const int a = from[image.channels - 1];
      for (int& v : rgb) v = (v * a + 255 * (255 - a) + 127) / 255;
    }
    if (channels == 3)
      for (int k = 0; k < 3; ++k) to[k] = static_cast<uint8_t>(rgb[k]);
    else  // Pillow's integers for the weights
      to[0] = static_cast<uint8_t>((rgb[0] * 19595 + rgb[1] * 38470 + rgb[2] * 7471 + 0x8000) >> 16);
  }
  return out;
}

Image resize(const Image& image, int64_t height, int64_t width) {
  check_image("resize", image);
  check(height >= 1 && width >= 1 && height <= kMostPixels / width,
        "resize: expected at least 1 × 1 and at most {} pixels, got {} × {}", kMostPixels, height, width);
  if (width == image.width) return height == image.height ? image : resize_columns(image, height);
  const Image rows = resize_rows(image, width);
  return height == rows.height ? rows : resize_columns(rows, height);
}

Image centre_crop(const Image& image, int64_t height, int64_t width) {
  check_image("centre_crop", image);
  check(height >= 1 && width >= 1 && height <= image.height && width <= image.width,
        "centre_crop: cannot take {} × {} out of {} × {} pixels", height, width, image.height, image.width);
  const auto half = [](int64_t rest) { return static_cast<int64_t>(std::nearbyint(static_cast<double>(rest) / 2)); };
  const int64_t top = half(image.height - height), left = half(image.width - width), c = image.channels;
  Image out{height, width, c, {}};
  out.pixels.reserve(static_cast<size_t>(height * width * c));
  for (int64_t y = 0; y < height; ++y) {
    const auto row = image.pixels.begin() + ((top + y) * image.width + left) * c;
    out.pixels.insert(out.pixels.end(), row, row + width * c);
  }
  return out;
}

int64_t fit_shorter_side(int64_t side) { return (side * 256 + 112) / 224; }

Image fit_square(const Image& image, int64_t side) {
  check_image("fit_square", image);
  const int64_t shorter = fit_shorter_side(side), least = std::min(image.height, image.width);
  const auto scaled = [&](int64_t n) { return n == least ? shorter : shorter * n / least; };
  return centre_crop(resize(image, scaled(image.height), scaled(image.width)), side, side);
}

Fit parse_fit(const std::string& name) {
  check(name == "crop" || name == "whole", "fit: expected crop or whole, got '{}'", name);
  return name == "crop" ? Fit::crop : Fit::whole;
}
std::string to_string(Fit fit) { return fit == Fit::crop ? "crop" : "whole"; }

Image load_framed(const std::string& path, const Frame& f) {
  const bool crop = f.fit == Fit::crop;
  check(!crop || f.height == f.width, "fit: only a square can be cropped, the network takes {}×{}; use whole", f.height,
        f.width);
  const Image image =
      to_channels(load_image(path, crop ? fit_shorter_side(f.height) : std::max(f.height, f.width)), f.channels);
  return crop ? fit_square(image, f.height) : resize(image, f.height, f.width);
}

}  // namespace holt::data
