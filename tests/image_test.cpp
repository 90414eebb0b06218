// data/image.h and data/jpeg.h: JPEGs are written here with libjpeg; resizing is checked against the definition of the
// triangle filter. (That it equals Pillow bit for bit was checked once, with Pillow 13; the hash pins it.)
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "data/image.h"
#include "kernels/philox.h"
#include "tests/harness/expect_error.h"
#include "tests/harness/jpeg_writer.h"

namespace holt::data {
namespace {

namespace fs = std::filesystem;
using test::encode_jpeg, test::JpegOptions;

std::span<const std::byte> bytes_of(const std::string& s) { return std::as_bytes(std::span(s)); }

// Smooth colours: what JPEG keeps well.
Image gradient(int64_t height, int64_t width, int64_t channels) {
  Image i{height, width, channels, {}};
  for (int64_t y = 0; y < height; ++y)
    for (int64_t x = 0; x < width; ++x)
      for (int64_t c = 0; c < channels; ++c)
        i.pixels.push_back(static_cast<uint8_t>(c == 0   ? 255 * x / width
                                                : c == 1 ? 255 * y / height
                                                : c == 2 ? 255 - 200 * x / width
                                                         : 40 + 100 * y / height));
  return i;
}

Image noise(int64_t height, int64_t width, int64_t channels) {
  Image i{height, width, channels, {}};
  for (int64_t k = 0; k < height * width * channels; ++k)
    i.pixels.push_back(static_cast<uint8_t>(philox(9, 0, static_cast<uint64_t>(k)).v[0] >> 24));
  return i;
}

void expect_near(const Image& a, const Image& b, int tolerance) {
  ASSERT_EQ(a.height, b.height);
  ASSERT_EQ(a.width, b.width);
  ASSERT_EQ(a.channels, b.channels);
  ASSERT_EQ(a.pixels.size(), b.pixels.size());
  for (size_t i = 0; i < a.pixels.size(); ++i) ASSERT_NEAR(a.pixels[i], b.pixels[i], tolerance) << "byte " << i;
}

TEST(Jpeg, GrayAndColour) {
  for (const bool progressive : {false, true})
    for (const int64_t channels : {1, 3}) {
      const Image image = gradient(37, 53, channels);
      const std::string file = encode_jpeg(image, {.progressive = progressive});
      expect_near(decode_image(bytes_of(file)), image, 8);
    }
}

TEST(Jpeg, CmykWithAndWithoutAdobesMarker) {
  const Image ink = gradient(20, 30, 4);  // as the file stores it
  for (const bool adobe : {false, true})
    for (const bool ycck : {false, true}) {
      if (ycck && !adobe) continue;  // only the marker can say that it is YCCK
      const Image rgb = decode_image(bytes_of(encode_jpeg(ink, {.ycck = ycck, .adobe = adobe})));
      Image expected{20, 30, 3, {}};
      for (size_t i = 0; i < 600; ++i)
        for (size_t c = 0; c < 3; ++c) {
          const double a = ink.pixels[4 * i + c] / 255.0, k = ink.pixels[4 * i + 3] / 255.0;
          expected.pixels.push_back(static_cast<uint8_t>(std::lround(255 * (adobe ? a * k : (1 - a) * (1 - k)))));
        }
      expect_near(rgb, expected, 8);
    }
}

TEST(Jpeg, ASmallerSizeIsDecodedSmaller) {
  const std::string file = encode_jpeg(gradient(400, 640, 3), {});
  for (const auto& [asked, height] :
       {std::pair{0, 400}, {401, 400}, {201, 400}, {200, 200}, {100, 100}, {50, 50}, {1, 50}}) {
    const Image image = decode_image(bytes_of(file), "x", asked);
    EXPECT_EQ(image.height, height) << asked;
    expect_near(image, resize(gradient(400, 640, 3), height, 640 * height / 400), 8);
  }
}

TEST(Jpeg, DamageIsAnError) {
  const std::string good = encode_jpeg(noise(64, 64, 3), {});
  for (const size_t size : {size_t{3}, size_t{4}, size_t{20}, good.size() / 3, good.size() / 2, good.size() - 3})
    EXPECT_ERROR(decode_image(bytes_of(good.substr(0, size)), "a/b.jpg"), "a/b.jpg: corrupt JPEG");
  std::string bad = good;
  const size_t at = good.size() / 2;
  bad.replace(at, 8, "\xFF\xD9\xFF\xD9\xFF\xD9\xFF\xD9");  // an end in the middle
  EXPECT_ERROR(decode_image(bytes_of(bad), "a/b.jpg"), "a/b.jpg: corrupt JPEG");
  EXPECT_ERROR(decode_jpeg(bytes_of("no image at all"), "n"), "n: not a JPEG");
  // Whatever the bytes, an image or an Error.
  int images = 0, errors = 0;
  for (uint64_t k = 0; k < 400; ++k) {
    bad = good;
    for (uint64_t j = 0; j < 3; ++j) {
      const Philox4 r = philox(k, 1, j);
      bad[r.v[0] % bad.size()] = static_cast<char>(r.v[1]);
    }
    try {
      const Image i = decode_image(bytes_of(bad));
      ++images;
      EXPECT_EQ(static_cast<int64_t>(i.pixels.size()), i.height * i.width * i.channels);
    } catch (const Error&) { ++errors; }
  }
  EXPECT_GT(images, 10);
  EXPECT_GT(errors, 10);
}

TEST(Jpeg, AbsurdSizes) {
  std::string file = encode_jpeg(gradient(16, 16, 3), {});
  const size_t sof = file.find("\xFF\xC0");
  ASSERT_NE(sof, std::string::npos);
  const auto with = [&](int height, int width) {
    std::string s = file;
    s[sof + 5] = static_cast<char>(height >> 8), s[sof + 6] = static_cast<char>(height);
    s[sof + 7] = static_cast<char>(width >> 8), s[sof + 8] = static_cast<char>(width);
    return s;
  };
  EXPECT_ERROR(decode_image(bytes_of(with(60000, 60000)), "big"), "big: the JPEG has 60000 × 60000 pixels; at most");
  EXPECT_ERROR(decode_image(bytes_of(with(16000, 16000)), "big"), "big: corrupt JPEG: 16000 × 16000 pixels cannot");
  EXPECT_ERROR(decode_image(bytes_of(with(0, 16)), "none"), "none: corrupt JPEG");
  EXPECT_ERROR(decode_image(bytes_of(with(16, 0)), "none"), "none: corrupt JPEG");
}

// A scan that says nothing about a whole image takes a few bytes: without a limit, a small file is hours of work.
TEST(Jpeg, ScansWithoutEnd) {
  const auto with_scans = [](int64_t side, int scans) {
    return encode_jpeg({side, side, 1, std::vector<uint8_t>(static_cast<size_t>(side * side))}, {.scans = scans});
  };
  EXPECT_EQ(decode_image(bytes_of(with_scans(16, 500))).width, 16);
  EXPECT_ERROR(decode_image(bytes_of(with_scans(16, 501)), "long.jpg"), "long.jpg: corrupt JPEG: more than 500 scans");
  EXPECT_ERROR(decode_image(bytes_of(with_scans(2048, 65)), "long.jpg"), "long.jpg: corrupt JPEG: more than 64 scans");
}

TEST(Image, Formats) {
  const Image image = gradient(5, 7, 4);
  const std::string png = encode_png(image);
  EXPECT_EQ(decode_image(bytes_of(png)).pixels, image.pixels);
  EXPECT_ERROR(decode_image(bytes_of("GIF89a……"), "x.jpg"), "x.jpg: a GIF; JPEG and PNG are read");
  EXPECT_ERROR(decode_image(bytes_of("RIFF....WEBPVP8 "), "x.jpg"), "x.jpg: a WebP");
  EXPECT_ERROR(decode_image(bytes_of("<html>"), "x.jpg"), "x.jpg: no image format that is known");
  EXPECT_ERROR(decode_image({}, "x.jpg"), "x.jpg: the file is empty");
  EXPECT_ERROR(load_image("/nowhere/x.jpg"), "/nowhere/x.jpg");
  const fs::path path = fs::temp_directory_path() / format("holt_image_test.{}.jpg", getpid());
  std::ofstream(path, std::ios::binary) << png;  // the name does not matter
  EXPECT_EQ(load_image(path.string()).pixels, image.pixels);
  fs::remove(path);
  EXPECT_ERROR(load_image(fs::temp_directory_path().string()), "cannot read");
}

TEST(Image, Channels) {
  const Image rgba{1, 3, 4, {10, 20, 30, 255, 10, 20, 30, 0, 200, 100, 0, 128}};
  EXPECT_EQ(to_channels(rgba, 3).pixels, (std::vector<uint8_t>{10, 20, 30, 255, 255, 255, 227, 177, 127}));
  const Image rgb{1, 3, 3, {255, 0, 0, 0, 255, 0, 0, 0, 255}};
  EXPECT_EQ(to_channels(rgb, 1).pixels, (std::vector<uint8_t>{76, 150, 29}));
  const Image gray_alpha{1, 2, 2, {0, 255, 0, 55}};
  EXPECT_EQ(to_channels(gray_alpha, 1).pixels, (std::vector<uint8_t>{0, 200}));
  EXPECT_EQ(to_channels(gray_alpha, 3).pixels, (std::vector<uint8_t>{0, 0, 0, 200, 200, 200}));
  EXPECT_ERROR(to_channels(rgb, 2), "1 (gray) or 3 (RGB)");
  EXPECT_ERROR(to_channels({2, 2, 3, {1, 2}}, 1), "but 2 bytes");
}

// From the definition, in double, one axis after the other.
Image true_resize(const Image& in, int64_t height, int64_t width) {
  const auto axis = [](const Image& i, int64_t size, bool vertical) {
    const int64_t from = vertical ? i.height : i.width;
    Image out{vertical ? size : i.height, vertical ? i.width : size, i.channels, {}};
    const double scale = double(from) / double(size), support = std::max(1.0, scale);
    for (int64_t y = 0; y < out.height; ++y)
      for (int64_t x = 0; x < out.width; ++x)
        for (int64_t c = 0; c < i.channels; ++c) {
          double sum = 0, weights = 0;
          for (int64_t k = 0; k < from; ++k) {
            const double d = std::abs((double(k) + 0.5) - (double(vertical ? y : x) + 0.5) * scale) / support;
            const double w = std::max(0.0, 1 - d);
            sum +=
                w * i.pixels[static_cast<size_t>(((vertical ? k : y) * i.width + (vertical ? x : k)) * i.channels + c)];
            weights += w;
          }
          out.pixels.push_back(static_cast<uint8_t>(std::lround(sum / weights)));
        }
    return out;
  };
  return axis(axis(in, width, false), height, true);
}

TEST(Image, ResizeIsTheTriangleFilter) {
  for (const auto& [h, w] : {std::pair{9, 14}, {40, 31}, {17, 23}, {1, 1}, {33, 5}, {17, 60}}) {
    const Image image = noise(17, 23, 3);
    expect_near(resize(image, h, w), true_resize(image, h, w), 1);
  }
  const Image image = noise(17, 23, 3);
  EXPECT_EQ(resize(image, 17, 23).pixels, image.pixels);
  EXPECT_ERROR(resize(image, 0, 5), "resize");
  EXPECT_ERROR(resize(image, 1 << 20, 1 << 20), "resize");
}

TEST(Image, CropAndFit) {
  const Image image = gradient(7, 10, 1);
  const Image crop = centre_crop(image, 4, 5);  // rests 3 and 5: 1.5 → 2 and 2.5 → 2
  EXPECT_EQ(crop.pixels[0], image.pixels[2 * 10 + 2]);
  EXPECT_EQ(crop.pixels[19], image.pixels[5 * 10 + 6]);
  EXPECT_ERROR(centre_crop(image, 8, 5), "cannot take 8 × 5 out of 7 × 10");
  EXPECT_EQ(fit_shorter_side(224), 256);
  for (const auto& [h, w] : {std::pair{300, 500}, {500, 300}, {20, 20}, {1, 3}}) {
    const Image fit = fit_square(gradient(h, w, 3), 56);
    EXPECT_EQ(fit.height, 56);
    EXPECT_EQ(fit.width, 56);
  }
  // 64 of the shorter side's pixels, of which the middle 56 are taken.
  expect_near(fit_square(gradient(128, 192, 3), 56), centre_crop(resize(gradient(128, 192, 3), 64, 96), 56, 56), 0);
}

// The hash of what Pillow's resize(…, BILINEAR) and torchvision's rule for the crop made of the same pixels.
TEST(Image, FitIsTorchvisions) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const int64_t side : {224, 64})
    for (const uint8_t p : fit_square(noise(117, 203, 3), side).pixels) hash = (hash ^ p) * 0x100000001b3u;
  EXPECT_EQ(hash, 0x2ca46c17e2971be3u);
}

}  // namespace
}  // namespace holt::data
