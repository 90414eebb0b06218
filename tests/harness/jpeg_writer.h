// Makes the JPEG files that data::jpeg_bytes() does not: progressive, of many scans, CMYK and YCCK.
#pragma once
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

// jpeglib.h needs size_t and FILE from before.
#include <jpeglib.h>

#include "data/png.h"

namespace holt::test {

struct JpegOptions {
  int quality = 95;
  bool progressive = false;
  int scans = 0;       ///< gray: progressive in that many scans, of up to 694: a bit of a coefficient each
  bool ycck = false;   ///< four channels: converted, as Photoshop does
  bool adobe = false;  ///< four channels: with Adobe's marker
};

/// Pixels of 1 (gray), 3 (RGB) or 4 (CMYK, stored as they are) channels. libjpeg's own handler of errors ends the test.
inline std::string encode_jpeg(const data::Image& image, const JpegOptions& o = {}) {
  jpeg_compress_struct jpeg = {};
  jpeg_error_mgr errors = {};
  jpeg.err = jpeg_std_error(&errors);
  jpeg_create_compress(&jpeg);
  unsigned char* out = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&jpeg, &out, &size);
  jpeg.image_height = static_cast<unsigned>(image.height);
  jpeg.image_width = static_cast<unsigned>(image.width);
  jpeg.input_components = static_cast<int>(image.channels);
  jpeg.in_color_space = image.channels == 1 ? JCS_GRAYSCALE : image.channels == 3 ? JCS_RGB : JCS_CMYK;
  jpeg_set_defaults(&jpeg);
  if (image.channels == 4) {
    jpeg_set_colorspace(&jpeg, o.ycck ? JCS_YCCK : JCS_CMYK);
    jpeg.write_Adobe_marker = o.adobe;
  }
  jpeg_set_quality(&jpeg, o.quality, TRUE);
  if (o.progressive) jpeg_simple_progression(&jpeg);
  std::vector<jpeg_scan_info> script = {{1, {0}, 0, 0, 0, 0}};
  for (int coefficient = 1; coefficient < 64; ++coefficient)
    for (int bit = 10; bit >= 0; --bit)
      script.push_back({1, {0}, coefficient, coefficient, bit == 10 ? 0 : bit + 1, bit});
  if (o.scans > 0) {
    jpeg.scan_info = script.data();
    jpeg.num_scans = o.scans;
  }
  jpeg_start_compress(&jpeg, TRUE);
  while (jpeg.next_scanline < jpeg.image_height) {
    JSAMPROW row = const_cast<uint8_t*>(image.pixels.data()) + jpeg.next_scanline * image.width * image.channels;
    jpeg_write_scanlines(&jpeg, &row, 1);
  }
  jpeg_finish_compress(&jpeg);
  jpeg_destroy_compress(&jpeg);
  std::string file(reinterpret_cast<char*>(out), size);
  std::free(out);
  return file;
}

}  // namespace holt::test
