// libpng reports errors by longjmp. A jump past a destructor is undefined, so each function in which libpng runs (those
// with setjmp) owns nothing: what must be freed belongs to its caller, and the message waits in the Session.
#include "data/png.h"

#include <png.h>

#include <cstdio>
#include <cstring>

#include "kernels/error.h"
#include "kernels/file.h"

namespace holt::data {
namespace {

// deflate packs at most 1032 bytes into one (258 bytes in two bits).
constexpr uint64_t kMostRatio = 1032;

// One file being read or written.
struct Session {
  png_structp png = nullptr;
  png_infop info = nullptr;
  char message[160] = "out of memory";
  std::span<const std::byte> in = {};  // what is still unread
  std::string out = {};

  explicit Session(bool writes) : writes_(writes) {
    png = writes ? png_create_write_struct(PNG_LIBPNG_VER_STRING, this, on_error, on_warning)
                 : png_create_read_struct(PNG_LIBPNG_VER_STRING, this, on_error, on_warning);
    if (png) info = png_create_info_struct(png);
  }
  ~Session() {
    if (writes_)
      png_destroy_write_struct(&png, &info);
    else
      png_destroy_read_struct(&png, &info, nullptr);
  }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  bool ok() const { return png && info; }

 private:
  static void on_error(png_structp png, png_const_charp text) {
    std::snprintf(static_cast<Session*>(png_get_error_ptr(png))->message, sizeof message, "%s", text);
    png_longjmp(png, 1);
  }
  static void on_warning(png_structp, png_const_charp) {}
  bool writes_;
};

void take(png_structp png, png_bytep to, size_t count) {
  auto& in = static_cast<Session*>(png_get_io_ptr(png))->in;
  if (count > in.size()) png_error(png, "the file is cut short");
  std::memcpy(to, in.data(), count);
  in = in.subspan(count);
}

void put(png_structp png, png_bytep from, size_t count) {
  bool kept = true;
  try {
    static_cast<Session*>(png_get_io_ptr(png))->out.append(reinterpret_cast<const char*>(from), count);
  } catch (...) {  // must not pass through C
    kept = false;
  }
  if (!kept) png_error(png, "out of memory");
}
void flush(png_structp) {}

bool read_header(Session& s) {
  if (setjmp(png_jmpbuf(s.png))) return false;
  png_set_read_fn(s.png, &s, take);
  png_read_info(s.png, s.info);
  return true;
}

Size read_size(Session& s, const std::string& name) {
  check(s.ok() && read_header(s), "{}: corrupt PNG: {}", name, s.message);
  const int64_t width = png_get_image_width(s.png, s.info), height = png_get_image_height(s.png, s.info);
  check(height <= kMostPixels / width, "{}: the PNG has {} × {} pixels; at most {} are read", name, width, height,
        kMostPixels);
  return {height, width};
}

bool set_up_rows(Session& s) {
  if (setjmp(png_jmpbuf(s.png))) return false;
  png_set_expand(s.png);  // palette to RGB, few bits to 8, a transparent colour to alpha
  png_set_scale_16(s.png);
  png_set_interlace_handling(s.png);
  png_read_update_info(s.png, s.info);
  return true;
}

// To the end of the file: a missing or wrong checksum there is an error too.
bool read_rows(Session& s, png_bytepp rows) {
  if (setjmp(png_jmpbuf(s.png))) return false;
  png_read_image(s.png, rows);
  png_read_end(s.png, nullptr);
  return true;
}

bool write_all(Session& s, const Image& image, png_bytepp rows) {
  if (setjmp(png_jmpbuf(s.png))) return false;
  static constexpr int kColour[] = {PNG_COLOR_TYPE_GRAY, PNG_COLOR_TYPE_GRAY_ALPHA, PNG_COLOR_TYPE_RGB,
                                    PNG_COLOR_TYPE_RGB_ALPHA};
  png_set_write_fn(s.png, &s, put, flush);
  png_set_IHDR(s.png, s.info, static_cast<png_uint_32>(image.width), static_cast<png_uint_32>(image.height), 8,
               kColour[image.channels - 1], PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_write_info(s.png, s.info);
  png_write_image(s.png, rows);
  png_write_end(s.png, nullptr);
  return true;
}

std::vector<png_bytep> row_starts(uint8_t* pixels, int64_t height, int64_t row_bytes) {
  std::vector<png_bytep> rows;
  for (int64_t y = 0; y < height; ++y) rows.push_back(pixels + y * row_bytes);
  return rows;
}

}  // namespace

bool is_png(std::span<const std::byte> bytes) {
  return bytes.size() >= 8 && png_sig_cmp(reinterpret_cast<png_const_bytep>(bytes.data()), 0, 8) == 0;
}

Size png_size(std::span<const std::byte> bytes, const std::string& name) {
  check(is_png(bytes), "{}: not a PNG file ({} bytes without a PNG's beginning)", name, bytes.size());
  Session s(/*writes=*/false);
  s.in = bytes;
  return read_size(s, name);
}

Image decode_png(std::span<const std::byte> bytes, const std::string& name) {
  check(is_png(bytes), "{}: not a PNG file ({} bytes without a PNG's beginning)", name, bytes.size());
  Session s(/*writes=*/false);
  s.in = bytes;
  const auto [height, width] = read_size(s, name);
  // Before memory is taken: a file of a hundred bytes may promise a gigabyte.
  const uint64_t bits = png_get_bit_depth(s.png, s.info) * uint64_t{png_get_channels(s.png, s.info)};
  check(static_cast<uint64_t>(width * height) * bits / 8 <= kMostRatio * bytes.size(),
        "{}: corrupt PNG: {} × {} pixels cannot be packed into {} bytes", name, width, height, bytes.size());
  check(set_up_rows(s), "{}: corrupt PNG: {}", name, s.message);

  Image image{height, width, png_get_channels(s.png, s.info)};
  const int64_t row_bytes = width * image.channels;
  check(static_cast<int64_t>(png_get_rowbytes(s.png, s.info)) == row_bytes,
        "{}: libpng makes rows of {} bytes, expected {}", name, png_get_rowbytes(s.png, s.info), row_bytes);
  image.pixels.resize(static_cast<size_t>(height * row_bytes));
  std::vector<png_bytep> rows = row_starts(image.pixels.data(), height, row_bytes);
  check(read_rows(s, rows.data()), "{}: corrupt PNG: {}", name, s.message);
  return image;
}

std::string encode_png(const Image& image) {
  check(image.height >= 1 && image.width >= 1 && image.channels >= 1 && image.channels <= 4,
        "encode_png: expected at least 1 × 1 pixels of 1 … 4 channels, got {} × {} of {}", image.height, image.width,
        image.channels);
  check(image.height <= kMostPixels / image.width, "encode_png: {} × {} pixels; at most {} are written", image.height,
        image.width, kMostPixels);
  const int64_t row_bytes = image.width * image.channels;
  check(static_cast<int64_t>(image.pixels.size()) == image.height * row_bytes,
        "encode_png: {} × {} pixels of {} channels need {} bytes, got {}", image.height, image.width, image.channels,
        image.height * row_bytes, image.pixels.size());
  Session s(/*writes=*/true);
  // libpng only reads the rows; its signature is older than const.
  std::vector<png_bytep> rows = row_starts(const_cast<uint8_t*>(image.pixels.data()), image.height, row_bytes);
  check(s.ok() && write_all(s, image, rows.data()), "encode_png: {}", s.message);
  return std::move(s.out);
}

void write_png(const std::string& path, const Image& image) { write_atomically(path, encode_png(image)); }

}  // namespace holt::data
