// libjpeg reports errors by calling back; the callback must not return, and jumps out. A jump past a destructor is
// undefined, so each function in which libjpeg runs (those with setjmp) owns nothing: what must be freed belongs to its
// caller, and the message waits in the Decompression.
#include "data/jpeg.h"

#include <csetjmp>
#include <cstdio>

// jpeglib.h needs size_t and FILE from before.
#include <jerror.h>
#include <jpeglib.h>

#include <algorithm>

#include "kernels/error.h"

namespace holt::data {
namespace {

// A progressive file may hold thousands of scans over the whole image in a few kilobytes: hours of work. Encoders write
// about ten; of a large image, no more than that work is done.
constexpr int64_t kFewScans = 32, kMostScans = 500, kMostScannedPixels = int64_t{1} << 28;
// Huffman codes have a bit at least, and the shortest file has one for each block of 8 × 8.
constexpr int64_t kMostPixelsPerByte = 64 * 8;

struct Decompression {
  jpeg_decompress_struct jpeg = {};
  jpeg_error_mgr errors = {};
  jpeg_progress_mgr progress = {};
  jmp_buf jump = {};
  char message[JMSG_LENGTH_MAX] = "out of memory";
  int64_t most_scans = kMostScans;

  Decompression() {
    jpeg.err = jpeg_std_error(&errors);
    errors.error_exit = on_error;
    errors.emit_message = on_message;
    jpeg.client_data = this;
    progress.progress_monitor = on_progress;
  }
  ~Decompression() { jpeg_destroy_decompress(&jpeg); }
  Decompression(const Decompression&) = delete;
  Decompression& operator=(const Decompression&) = delete;

 private:
  static void on_error(j_common_ptr c) {
    auto* s = static_cast<Decompression*>(c->client_data);
    c->err->format_message(c, s->message);
    longjmp(s->jump, 1);
  }
  // libjpeg fills in for what is missing or wrong in the pixels and merely warns: for us the image is corrupt. Unknown
  // versions, bytes between segments and odd scan parameters leave the pixels whole.
  static void on_message(j_common_ptr c, int level) {
    if (level >= 0) return;
    switch (c->err->msg_code) {
      case JWRN_ADOBE_XFORM:
      case JWRN_EXTRANEOUS_DATA:
      case JWRN_JFIF_MAJOR:
      case JWRN_NOT_SEQUENTIAL:
        return;
      default:
        on_error(c);
    }
  }
  static void on_progress(j_common_ptr c) {
    auto* s = static_cast<Decompression*>(c->client_data);
    if (reinterpret_cast<j_decompress_ptr>(c)->input_scan_number <= s->most_scans) return;
    std::snprintf(s->message, sizeof s->message, "more than %d scans", static_cast<int>(s->most_scans));
    longjmp(s->jump, 1);
  }
};

bool read_header(Decompression& s, std::span<const std::byte> bytes) {
  if (setjmp(s.jump)) return false;
  jpeg_create_decompress(&s.jpeg);
  s.jpeg.progress = &s.progress;
  jpeg_mem_src(&s.jpeg, reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<unsigned long>(bytes.size()));
  jpeg_read_header(&s.jpeg, TRUE);
  return true;
}

Size read_size(Decompression& s, std::span<const std::byte> bytes, const std::string& name) {
  check(is_jpeg(bytes), "{}: not a JPEG file ({} bytes without a JPEG's beginning)", name, bytes.size());
  check(read_header(s, bytes), "{}: corrupt JPEG: {}", name, s.message);
  const int64_t width = s.jpeg.image_width, height = s.jpeg.image_height;
  check(width >= 1 && height >= 1, "{}: corrupt JPEG: {} × {} pixels", name, width, height);
  check(height <= kMostPixels / width, "{}: the JPEG has {} × {} pixels; at most {} are read", name, width, height,
        kMostPixels);
  return {height, width};
}

bool start(Decompression& s, J_COLOR_SPACE colours, unsigned eighths) {
  if (setjmp(s.jump)) return false;
  s.jpeg.out_color_space = colours;
  s.jpeg.scale_num = eighths;
  s.jpeg.scale_denom = 8;
  jpeg_start_decompress(&s.jpeg);
  return true;
}

// To the end of the file: what is missing there is an error too.
bool read_rows(Decompression& s, uint8_t* pixels, size_t row_bytes) {
  if (setjmp(s.jump)) return false;
  while (s.jpeg.output_scanline < s.jpeg.output_height) {
    JSAMPROW row = pixels + s.jpeg.output_scanline * row_bytes;
    jpeg_read_scanlines(&s.jpeg, &row, 1);
  }
  jpeg_finish_decompress(&s.jpeg);
  return true;
}

// Ink to light. `as_light` says that 255 is no ink already.
Image cmyk_to_rgb(const Image& cmyk, bool as_light) {
  Image rgb{cmyk.height, cmyk.width, 3, std::vector<uint8_t>(static_cast<size_t>(cmyk.height * cmyk.width * 3))};
  const int flip = as_light ? 0 : 255;
  for (size_t i = 0; i < rgb.pixels.size() / 3; ++i)
    for (size_t c = 0; c < 3; ++c)
      rgb.pixels[3 * i + c] =
          static_cast<uint8_t>(((cmyk.pixels[4 * i + c] ^ flip) * (cmyk.pixels[4 * i + 3] ^ flip) + 127) / 255);
  return rgb;
}

}  // namespace

bool is_jpeg(std::span<const std::byte> bytes) {
  return bytes.size() >= 3 && bytes[0] == std::byte{0xFF} && bytes[1] == std::byte{0xD8} && bytes[2] == std::byte{0xFF};
}

Size jpeg_size(std::span<const std::byte> bytes, const std::string& name) {
  Decompression s;
  return read_size(s, bytes, name);
}

Image decode_jpeg(std::span<const std::byte> bytes, const std::string& name, int64_t shorter_side) {
  Decompression s;
  const auto [height, width] = read_size(s, bytes, name);
  // Before memory is taken. Arithmetic codes have no such bound.
  check(s.jpeg.arith_code || width * height / kMostPixelsPerByte <= static_cast<int64_t>(bytes.size()),
        "{}: corrupt JPEG: {} × {} pixels cannot be packed into {} bytes", name, width, height, bytes.size());

  s.most_scans = std::clamp(kMostScannedPixels / (width * height), kFewScans, kMostScans);
  const bool gray = s.jpeg.num_components == 1, ink = s.jpeg.num_components == 4;
  unsigned eighths = 8;
  while (shorter_side > 0 && eighths > 1 && std::min(width, height) * (eighths / 2) / 8 >= shorter_side) eighths /= 2;
  check(start(s, gray ? JCS_GRAYSCALE : ink ? JCS_CMYK : JCS_RGB, eighths), "{}: corrupt JPEG: {}", name, s.message);
  Image image{s.jpeg.output_height, s.jpeg.output_width, gray ? 1 : ink ? 4 : 3};
  check(s.jpeg.output_components == image.channels, "{}: libjpeg makes {} channels, expected {}", name,
        s.jpeg.output_components, image.channels);
  const size_t row_bytes = static_cast<size_t>(image.width * image.channels);
  image.pixels.resize(row_bytes * static_cast<size_t>(image.height));
  check(read_rows(s, image.pixels.data(), row_bytes), "{}: corrupt JPEG: {}", name, s.message);
  return ink ? cmyk_to_rgb(image, s.jpeg.saw_Adobe_marker) : image;
}

}  // namespace holt::data
