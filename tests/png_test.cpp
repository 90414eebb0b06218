// data/png: every kind of PNG, written here byte by byte (zlib, no libpng), and hostile ones.
#include "data/png.h"

#include <gtest/gtest.h>
#include <unistd.h>
#include <zlib.h>

#include <array>
#include <filesystem>
#include <functional>

#include "kernels/file.h"
#include "kernels/philox.h"
#include "tests/harness/expect_error.h"

namespace holt::data {
namespace {

using Bytes = std::string;

std::span<const std::byte> span(const Bytes& b) { return std::as_bytes(std::span(b)); }
Bytes big32(uint32_t x) {
  return {static_cast<char>(x >> 24), static_cast<char>(x >> 16), static_cast<char>(x >> 8), static_cast<char>(x)};
}
Bytes chunk(const Bytes& type, const Bytes& data) {
  const Bytes body = type + data;
  const auto crc = crc32(0, reinterpret_cast<const Bytef*>(body.data()), static_cast<uInt>(body.size()));
  return big32(static_cast<uint32_t>(data.size())) + body + big32(static_cast<uint32_t>(crc));
}
Bytes deflated(const Bytes& plain) {
  Bytes out(compressBound(plain.size()), '\0');
  uLongf size = out.size();
  EXPECT_EQ(
      compress(reinterpret_cast<Bytef*>(out.data()), &size, reinterpret_cast<const Bytef*>(plain.data()), plain.size()),
      Z_OK);
  out.resize(size);
  return out;
}

enum Colour : char { kGray = 0, kRgb = 2, kPalette = 3, kGrayAlpha = 4, kRgba = 6 };
int channels_of(Colour c) { return c == kRgb ? 3 : c == kGrayAlpha ? 2 : c == kRgba ? 4 : 1; }

struct Kind {
  Colour colour;
  int depth;
  bool interlaced;
};

const Bytes kSignature = "\x89PNG\r\n\x1a\n";
Bytes header(uint32_t width, uint32_t height, Kind k) {
  return chunk("IHDR", big32(width) + big32(height) + Bytes{static_cast<char>(k.depth), k.colour, 0, 0, k.interlaced});
}

// `sample(y, x, c)`: the value in the file, of k.depth bits.
using Sample = std::function<uint32_t(int64_t y, int64_t x, int c)>;
Bytes png(int64_t width, int64_t height, Kind k, const Sample& sample, const Bytes& before_pixels = {}) {
  Bytes raw;
  const auto pass = [&](int64_t y0, int64_t dy, int64_t x0, int64_t dx) {
    if (x0 >= width) return;
    for (int64_t y = y0; y < height; y += dy) {
      raw += '\0';  // no filter
      uint32_t bits = 0;
      int filled = 0;
      for (int64_t x = x0; x < width; x += dx)
        for (int c = 0; c < channels_of(k.colour); ++c) {
          const uint32_t v = sample(y, x, c);
          if (k.depth == 16) raw += static_cast<char>(v >> 8);
          bits = bits << (k.depth == 16 ? 8 : k.depth) | (k.depth == 16 ? v & 255 : v);
          filled += k.depth == 16 ? 8 : k.depth;
          if (filled == 8) raw += static_cast<char>(bits), bits = 0, filled = 0;
        }
      if (filled) raw += static_cast<char>(bits << (8 - filled));
    }
  };
  if (k.interlaced)
    for (const auto& [y0, dy, x0, dx] : {std::array<int, 4>{0, 8, 0, 8},
                                         {0, 8, 4, 8},
                                         {4, 8, 0, 4},
                                         {0, 4, 2, 4},
                                         {2, 4, 0, 2},
                                         {0, 2, 1, 2},
                                         {1, 2, 0, 1}})
      pass(y0, dy, x0, dx);
  else
    pass(0, 1, 0, 1);
  return kSignature + header(static_cast<uint32_t>(width), static_cast<uint32_t>(height), k) + before_pixels +
         chunk("IDAT", deflated(raw)) + chunk("IEND", "");
}

uint32_t pattern(int64_t y, int64_t x, int c) { return static_cast<uint32_t>(y * 7919 + x * 104729 + c * 4447 + 13); }

TEST(Png, ReadsEveryColourDepthAndOrder) {
  for (const bool interlaced : {false, true})
    for (const auto& [colour, depths] :
         {std::pair{kGray, std::vector{1, 2, 4, 8, 16}}, {kRgb, {8, 16}}, {kGrayAlpha, {8, 16}}, {kRgba, {8, 16}}})
      for (const int depth : depths)
        for (const auto& [width, height] : {std::pair{1, 1}, {3, 2}, {13, 11}}) {
          const uint32_t most = (1u << depth) - 1;
          const auto sample = [&](int64_t y, int64_t x, int c) { return pattern(y, x, c) & most; };
          const Image got = decode_png(span(png(width, height, {colour, depth, interlaced}, sample)));
          ASSERT_EQ(got.height, height);
          ASSERT_EQ(got.width, width);
          ASSERT_EQ(got.channels, channels_of(colour));
          size_t i = 0;
          for (int64_t y = 0; y < height; ++y)
            for (int64_t x = 0; x < width; ++x)
              for (int c = 0; c < got.channels; ++c, ++i)
                ASSERT_EQ(got.pixels[i], (sample(y, x, c) * 255 + most / 2) / most)
                    << "colour " << int{colour} << " depth " << depth << " at " << y << ", " << x << ", " << c;
        }
}

TEST(Png, APaletteBecomesRgbAndItsTransparencyAlpha) {
  const Bytes palette = {0, 1, 2, 50, 51, 52, 100, 101, 102, 120, 121, 122};
  for (const int depth : {2, 4, 8})
    for (const bool interlaced : {false, true}) {
      const auto sample = [](int64_t y, int64_t x, int) { return pattern(y, x, 0) & 3; };
      const Kind kind{kPalette, depth, interlaced};
      const Image rgb = decode_png(span(png(9, 5, kind, sample, chunk("PLTE", palette))));
      const Image rgba =
          decode_png(span(png(9, 5, kind, sample, chunk("PLTE", palette) + chunk("tRNS", Bytes{7, 77, 0}))));
      ASSERT_EQ(rgb.channels, 3);
      ASSERT_EQ(rgba.channels, 4);
      for (int64_t p = 0; p < 45; ++p) {
        const uint32_t entry = sample(p / 9, p % 9, 0);
        for (int c = 0; c < 3; ++c) {
          EXPECT_EQ(rgb.pixels[p * 3 + c], palette[entry * 3 + c]);
          EXPECT_EQ(rgba.pixels[p * 4 + c], palette[entry * 3 + c]);
        }
        EXPECT_EQ(rgba.pixels[p * 4 + 3], (std::array{7, 77, 0, 255})[entry]);
      }
    }
}

TEST(Png, ATransparentGrayBecomesAlpha) {
  const auto sample = [](int64_t, int64_t x, int) { return static_cast<uint32_t>(x); };
  const Image got = decode_png(span(png(3, 1, {kGray, 8, false}, sample, chunk("tRNS", Bytes{0, 2}))));
  EXPECT_EQ(got.channels, 2);
  EXPECT_EQ(got.pixels, (std::vector<uint8_t>{0, 255, 1, 255, 2, 0}));
}

TEST(Png, GammaAndUnknownChunksChangeNothing) {
  const auto sample = [](int64_t y, int64_t x, int c) { return pattern(y, x, c) & 255; };
  const Kind kind{kRgb, 8, false};
  const Image plain = decode_png(span(png(6, 4, kind, sample)));
  const Image marked = decode_png(
      span(png(6, 4, kind, sample, chunk("gAMA", big32(100000)) + chunk("tEXt", "Title") + chunk("abCd", "whatever"))));
  EXPECT_EQ(plain.pixels, marked.pixels);
}

TEST(Png, WhatIsWrittenIsRead) {
  const auto path = std::filesystem::temp_directory_path() / format("holt_png_test.{}.png", getpid());
  for (int64_t channels = 1; channels <= 4; ++channels) {
    Image image{17, 23, channels};
    for (int64_t i = 0; i < 17 * 23 * channels; ++i) image.pixels.push_back(static_cast<uint8_t>(pattern(i, 0, 0)));
    const Image again = decode_png(span(encode_png(image)));
    EXPECT_EQ(again.height, 17);
    EXPECT_EQ(again.width, 23);
    EXPECT_EQ(again.channels, channels);
    EXPECT_EQ(again.pixels, image.pixels);
    write_png(path, image);
    EXPECT_EQ(read_file(path), encode_png(image));
  }
  std::filesystem::remove(path);
}

TEST(Png, RefusesToWriteWhatIsNoImage) {
  EXPECT_ERROR(encode_png({}), "expected at least 1 × 1 pixels of 1 … 4 channels, got 0 × 0 of 0");
  EXPECT_ERROR(encode_png({1, 1, 5, {1, 2, 3, 4, 5}}), "1 × 1 of 5");
  EXPECT_ERROR(encode_png({2, 2, 1, {1, 2, 3}}), "need 4 bytes, got 3");
  EXPECT_ERROR(encode_png({int64_t{1} << 40, int64_t{1} << 40, 1, {}}), "at most 268435456 are written");
  EXPECT_ERROR(write_png("/nowhere/x.png", {1, 1, 1, {7}}), "/nowhere/x.png");
}

TEST(Png, SaysWhatIsWrongWithAFile) {
  const auto black = [](int64_t, int64_t, int) { return 0u; };
  EXPECT_ERROR(decode_png({}, "a.png"), "a.png: not a PNG file");
  EXPECT_ERROR(decode_png(span("\xff\xd8\xff\xe0 a JPEG"), "a.png"), "a.png: not a PNG file");
  const Bytes good = png(40, 40, {kRgb, 8, false}, black);
  EXPECT_ERROR(decode_png(span(good.substr(0, good.size() - 20)), "a.png"),
               "a.png: corrupt PNG: the file is cut short");
  EXPECT_ERROR(decode_png(span(kSignature + header(20000, 20000, {kGray, 8, false}) + good.substr(33))),
               "20000 × 20000 pixels; at most 268435456 are read");
  EXPECT_ERROR(decode_png(span(kSignature + header(16000, 16000, {kRgba, 16, true}) + good.substr(33))),
               "16000 × 16000 pixels cannot be packed into");
  EXPECT_ERROR(decode_png(span(kSignature + header(0, 5, {kGray, 8, false}) + good.substr(33))), "corrupt PNG");
  EXPECT_ERROR(decode_png(span(kSignature + header(5, 5, {kPalette, 8, false}) + good.substr(33))), "corrupt PNG");
  EXPECT_ERROR(decode_png(span(png(2000, 3, {kGray, 8, false}, black).replace(33 + 14, 1, "\x55"))), "corrupt PNG");
}

TEST(Png, EveryTruncationIsAnError) {
  for (const Kind kind : {Kind{kRgb, 8, false}, {kGray, 2, true}, {kRgba, 16, true}}) {
    const auto sample = [&](int64_t y, int64_t x, int c) { return pattern(y, x, c) & ((1u << kind.depth) - 1); };
    const Bytes good = png(9, 7, kind, sample);
    EXPECT_EQ(decode_png(span(good)).width, 9);
    for (size_t length = 0; length < good.size(); ++length) {
      const Bytes cut = good.substr(0, length);
      EXPECT_THROW(decode_png(span(cut)), Error) << length << " of " << good.size() << " bytes";
    }
  }
}

// A flipped byte is an Error or, in a chunk without pixels, nothing; a flip whose checksum was mended may give any
// image, but never more than that.
TEST(Png, FlippedBytesNeverCrash) {
  const auto sample = [](int64_t y, int64_t x, int) { return pattern(y, x, 0) & 3; };
  const Bytes palette = chunk("PLTE", Bytes(12, 'p'));
  const Bytes good = png(9, 7, {kPalette, 4, true}, sample, palette + chunk("tRNS", Bytes{1, 2}));
  const Image truth = decode_png(span(good));
  int refused = 0;
  for (size_t at = 0; at < good.size(); ++at)
    for (const int flip : {1, 2, 4, 8, 16, 32, 64, 128, 255}) {
      Bytes bad = good;
      bad[at] = static_cast<char>(bad[at] ^ flip);
      try {
        const Image got = decode_png(span(bad));
        EXPECT_EQ(got.width * got.height, truth.width * truth.height) << at << " ^ " << flip;
      } catch (const Error&) { ++refused; }
      // IHDR's 13 bytes stand at 16, their checksum at 29.
      if (at >= 16 && at < 29) {
        bad.replace(8, 25, chunk("IHDR", bad.substr(16, 13)));
        try {
          const Image got = decode_png(span(bad));
          EXPECT_EQ(static_cast<int64_t>(got.pixels.size()), got.width * got.height * got.channels);
        } catch (const Error&) { ++refused; }
      }
    }
  EXPECT_GT(refused, static_cast<int>(good.size()) * 8);
}

TEST(Png, RandomBytesInsideThePixelsNeverCrash) {
  const Kind kind{kRgb, 8, false};
  for (uint64_t i = 0; i < 3000; ++i) {
    const Philox4 r = philox(5, 0, i);
    Bytes raw(64, '\0');
    for (size_t b = 0; b < raw.size(); ++b) raw[b] = static_cast<char>(philox(6, i, b).v[0]);
    const Bytes data = i % 2 ? raw : deflated(raw);
    const Bytes file =
        kSignature + header(1 + r.v[0] % 8, 1 + r.v[1] % 8, kind) + chunk("IDAT", data) + chunk("IEND", "");
    try {
      const Image got = decode_png(span(file));
      EXPECT_EQ(static_cast<int64_t>(got.pixels.size()), got.width * got.height * 3);
    } catch (const Error&) { SUCCEED(); }
  }
}

}  // namespace
}  // namespace holt::data
