// JPEG (ITU-T T.81) to 8-bit pixels, by libjpeg-turbo.
//
// Gray stays gray; YCbCr becomes RGB (JFIF's matrix); CMYK and YCCK become RGB as R = C·K / 255, with C and K counted
// as Adobe writes them (255 = no ink) where its marker is there, and the other way round where it is not: as PIL does.
// Neither colour profiles nor the Exif orientation are applied, as in PIL and torchvision.
#pragma once
#include <cstddef>
#include <span>
#include <string>

#include "data/png.h"

namespace holt::data {

/// True if the bytes begin as every JPEG does.
bool is_jpeg(std::span<const std::byte> bytes);

/// `shorter_side` > 0 asks for an image whose shorter side has at least that many pixels, or all that are there: a
/// large image is then decoded at ½, ¼ or ⅛ of its size, from the low frequencies alone, which is several times faster.
/// `name` (a path) begins the message of every Error: no JPEG, cut short, corrupt, more than kMostPixels.
Image decode_jpeg(std::span<const std::byte> bytes, const std::string& name = "decode_jpeg", int64_t shorter_side = 0);

/// The size that its header says, of at least 1 × 1 pixels; errors as decode_jpeg()'s.
Size jpeg_size(std::span<const std::byte> bytes, const std::string& name = "jpeg_size");

/// The bytes of a file with these pixels, gray or RGB (chroma halved both ways), for benchmarks and examples. Error for
/// other channels, sizes outside 1 … 65500, quality outside 1 … 100.
std::string jpeg_bytes(const Image& image, int quality = 90);

}  // namespace holt::data
