#include "data/image.h"

#include <algorithm>
#include <cmath>
#include <string_view>

#include "kernels/error.h"
#include "kernels/file.h"

namespace holt::data {
namespace {

const char* other_format(std::span<const std::byte> bytes) {
  const std::string_view head(reinterpret_cast<const char*>(bytes.data()), std::min<size_t>(bytes.size(), 16));
  if (head.starts_with("GIF8")) return "a GIF";
  if (head.starts_with("BM")) return "a BMP";
  if (head.starts_with("RIFF") && head.substr(std::min<size_t>(8, head.size())).starts_with("WEBP")) return "a WebP";
  if (head.starts_with("II*") || head.starts_with("MM")) return "a TIFF";
  if (head.starts_with("P5") || head.starts_with("P6")) return "a PNM";
  return nullptr;
}

[[noreturn]] void fail_format(std::span<const std::byte> bytes, const std::string& name) {
  check(!bytes.empty(), "{}: the file is empty", name);
  const char* other = other_format(bytes);
  fail("{}: {}; JPEG and PNG are read", name, other ? other : "no image format that is known");
}

}  // namespace

void check_image(const char* who, const Image& i) {
  check(i.height >= 1 && i.width >= 1 && i.channels >= 1 && i.channels <= 4 &&
            static_cast<int64_t>(i.pixels.size()) == i.height * i.width * i.channels,
        "{}: {} × {} pixels of {} channels, but {} bytes", who, i.height, i.width, i.channels, i.pixels.size());
}

Image decode_image(std::span<const std::byte> bytes, const std::string& name, int64_t shorter_side) {
  if (is_jpeg(bytes)) return decode_jpeg(bytes, name, shorter_side);
  if (is_png(bytes)) return decode_png(bytes, name);
  fail_format(bytes, name);
}

Size image_size(std::span<const std::byte> bytes, const std::string& name) {
  if (is_jpeg(bytes)) return jpeg_size(bytes, name);
  if (is_png(bytes)) return png_size(bytes, name);
  fail_format(bytes, name);
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

Image centre_crop(const Image& image, int64_t height, int64_t width) {
  check_image("centre_crop", image);
  check(height >= 1 && width >= 1 && height <= image.height && width <= image.width,
        "centre_crop: cannot take {} × {} out of {} × {} pixels", height, width, image.height, image.width);
  const auto half = [](int64_t rest) { return static_cast<int64_t>(std::nearbyint(static_cast<double>(rest) / 2)); };
  const int64_t top = half(image.height - height), left = half(image.width - width);
  return resize(image, {top, left, height, width}, height, width);
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
