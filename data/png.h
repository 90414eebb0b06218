// PNG (ISO/IEC 15948) to 8-bit pixels and back, by libpng.
//
// Pixels are taken as they stand in the file: no gamma, no colour profile, alpha is kept and not blended. That is what
// PIL and torchvision do, so that a network sees the numbers that it was trained with.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace holt::data {

/// 8-bit pixels, row by row from the top: pixels[(y·width + x)·channels + c].
/// channels: 1 gray, 2 gray and alpha, 3 RGB, 4 RGB and alpha.
struct Image {
  int64_t height = 0, width = 0, channels = 0;
  std::vector<uint8_t> pixels = {};
};

struct Size {
  int64_t height = 0, width = 0;
};

/// Images of more pixels are refused: nobody trains on them, and a small hostile file can promise them.
inline constexpr int64_t kMostPixels = int64_t{1} << 28;

/// True if the bytes begin as every PNG does.
bool is_png(std::span<const std::byte> bytes);

/// Gray of 1, 2 or 4 bits is scaled to 8; 16 bits are rounded to 8; a palette becomes RGB; a transparent colour becomes
/// an alpha channel; interlaced files are put in order. `name` (a path) begins the message of every Error: no PNG, cut
/// short, corrupt, more than kMostPixels.
Image decode_png(std::span<const std::byte> bytes, const std::string& name = "decode_png");

/// The size that its header says, of at least 1 × 1 pixels; errors as decode_png()'s.
Size png_size(std::span<const std::byte> bytes, const std::string& name = "png_size");

/// The file's bytes. Error for sizes below 1, channels outside 1 … 4, or a count of pixels that does not fit them.
std::string encode_png(const Image& image);
/// Replaces the file `path` as a whole (kernels/file.h).
void write_png(const std::string& path, const Image& image);

}  // namespace holt::data
