// As in jpeg.cpp: a jump past a destructor is undefined, so the function in which libjpeg runs owns nothing.
#include <csetjmp>
#include <cstdio>
#include <cstdlib>

// jpeglib.h needs size_t and FILE from before.
#include <jpeglib.h>

#include "data/jpeg.h"
#include "kernels/error.h"

namespace holt::data {
namespace {

constexpr int64_t kLongestSide = 65500;

struct Compression {
  jpeg_compress_struct jpeg = {};
  jpeg_error_mgr errors = {};
  jmp_buf jump = {};
  char message[JMSG_LENGTH_MAX] = "out of memory";
  unsigned char* out = nullptr;
  unsigned long size = 0;

  Compression() {
    jpeg.err = jpeg_std_error(&errors);
    jpeg.client_data = this;
    errors.error_exit = [](j_common_ptr c) {
      auto* s = static_cast<Compression*>(c->client_data);
      c->err->format_message(c, s->message);
      longjmp(s->jump, 1);
    };
  }
  ~Compression() {
    jpeg_destroy_compress(&jpeg);
    std::free(out);
  }
  Compression(const Compression&) = delete;
  Compression& operator=(const Compression&) = delete;
};

bool write_all(Compression& s, const Image& image, int quality) {
  if (setjmp(s.jump)) return false;
  jpeg_create_compress(&s.jpeg);
  jpeg_mem_dest(&s.jpeg, &s.out, &s.size);
  s.jpeg.image_height = static_cast<JDIMENSION>(image.height);
  s.jpeg.image_width = static_cast<JDIMENSION>(image.width);
  s.jpeg.input_components = static_cast<int>(image.channels);
  s.jpeg.in_color_space = image.channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
  jpeg_set_defaults(&s.jpeg);
  jpeg_set_quality(&s.jpeg, quality, TRUE);
  jpeg_start_compress(&s.jpeg, TRUE);
  while (s.jpeg.next_scanline < s.jpeg.image_height) {
    // libjpeg only reads the row; its signature is older than const.
    JSAMPROW row = const_cast<uint8_t*>(image.pixels.data()) + s.jpeg.next_scanline * image.width * image.channels;
    jpeg_write_scanlines(&s.jpeg, &row, 1);
  }
  jpeg_finish_compress(&s.jpeg);
  return true;
}

}  // namespace

std::string jpeg_bytes(const Image& i, int quality) {
  check((i.channels == 1 || i.channels == 3) && i.height >= 1 && i.width >= 1 && i.height <= kLongestSide &&
            i.width <= kLongestSide && static_cast<int64_t>(i.pixels.size()) == i.height * i.width * i.channels,
        "jpeg_bytes: expected a gray or RGB image of 1 … {} pixels a side, got {} × {} of {} channels in {} bytes",
        kLongestSide, i.height, i.width, i.channels, i.pixels.size());
  check(quality >= 1 && quality <= 100, "jpeg_bytes: quality must be in 1 … 100, got {}", quality);
  Compression s;
  check(write_all(s, i, quality), "jpeg_bytes: {}", s.message);
  return {reinterpret_cast<const char*>(s.out), s.size};
}

}  // namespace holt::data
