// Images from files, and what a network needs of them: a size and a number of channels.
//
//   Image photo = centre_crop(resize(to_channels(load_image("cat.jpg"), 3), 256, 341), 224, 224);
//
// resize() is Pillow's BILINEAR, bit for bit: torchvision trains on what that makes.
#pragma once
#include "data/jpeg.h"
#include "data/png.h"

namespace holt::data {

/// Error, beginning with `who`, unless the image has at least a pixel, 1 … 4 channels, and the bytes for them.
void check_image(const char* who, const Image& image);

/// JPEG or PNG, as its first bytes say. `shorter_side` as in decode_jpeg(): the result may be larger. Errors begin with
/// `name`; other formats are named.
Image decode_image(std::span<const std::byte> bytes, const std::string& name = "decode_image",
                   int64_t shorter_side = 0);
Image load_image(const std::string& path, int64_t shorter_side = 0);

/// The size that the file's header says; errors as decode_image()'s.
Size image_size(std::span<const std::byte> bytes, const std::string& name = "image_size");

/// The image with 1 (gray) or 3 (RGB) channels. Gray is repeated; RGB becomes gray as 0.299 R + 0.587 G + 0.114 B
/// (ITU-R 601). Transparent pixels are laid over white: what a person sees in a viewer (their hidden colours are
/// arbitrary, mostly black).
Image to_channels(const Image& image, int64_t channels);

/// Triangle filter, widened by the factor by which the image shrinks, so that no detail aliases; along the rows, then
/// along the columns, each rounded to 8 bits. Error for sizes below 1.
Image resize(const Image& image, int64_t height, int64_t width);

/// A part of an image: its upper left pixel, and its size.
struct Box {
  int64_t top = 0, left = 0, height = 0, width = 0;
  friend bool operator==(const Box&, const Box&) = default;
};
/// The part alone resized, as if it had been cut out before. Error unless it lies within the image.
Image resize(const Image& image, const Box& box, int64_t height, int64_t width);

/// The middle height × width pixels; an odd rest is split as torchvision's CenterCrop does. Error if the image is
/// smaller.
Image centre_crop(const Image& image, int64_t height, int64_t width);

/// What networks of ImageNet are fed: the shorter side resized to side·256/224 (the longer one in proportion, cut to
/// whole pixels), the middle side × side taken.
Image fit_square(const Image& image, int64_t side);
/// The shorter side that fit_square() resizes to.
int64_t fit_shorter_side(int64_t side);

/// How an image comes to a network's size.
enum class Fit {
  crop,   ///< fit_square(): the middle, in proportion, as networks of photographs are trained
  whole,  ///< resize(): all of it, whatever its proportions, as small images fill their frame
};
/// "crop", "whole". Error for another word.
Fit parse_fit(const std::string& name);
std::string to_string(Fit fit);

/// What a network takes.
struct Frame {
  int64_t height = 224, width = 224, channels = 3;
  Fit fit = Fit::crop;

  int64_t bytes() const { return height * width * channels; }
};
/// The file's image as the frame asks: exactly height × width × channels. Errors: those of load_image(); Fit::crop for
/// a frame that is not square.
Image load_framed(const std::string& path, const Frame& frame);

}  // namespace holt::data
