// Pillow's BILINEAR in its own integers, so that every bit is as in Pillow: weights of 22 bits, sums of 32, each pass
// rounded to 8 bits.
//
// Multiplications: pixels out × taps × channels, taps = 2·scale. Along the rows, a vector of 16 × 32 bits holds the
// channels of one column's pixels in four rows; along the columns, 64 bytes of a row are summed in registers.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "data/image.h"
#include "kernels/error.h"

namespace holt::data {
namespace {

// 8 bits of pixel, 2 of head room, the rest of 32 for the weights.
constexpr int kBits = 32 - 8 - 2;
constexpr int32_t kHalf = 1 << (kBits - 1);

// The weights of one axis: output i is the sum of weight[i·taps + k]·in[first[i] + k] over k < count[i].
struct Filter {
  int64_t taps;
  std::vector<int64_t> first, count;
  std::vector<int32_t> weight;
};

Filter triangle(int64_t in, int64_t out) {
  const double scale = static_cast<double>(in) / static_cast<double>(out), support = std::max(scale, 1.0);
  Filter f;
  f.taps = static_cast<int64_t>(std::ceil(support)) * 2 + 1;
  f.weight.resize(static_cast<size_t>(out * f.taps));
  std::vector<double> w;
  for (int64_t i = 0; i < out; ++i) {
    const double centre = (static_cast<double>(i) + 0.5) * scale;
    const auto begin = std::max<int64_t>(0, static_cast<int64_t>(centre - support + 0.5));
    const auto end = std::min(in, static_cast<int64_t>(centre + support + 0.5));
    w.clear();
    double sum = 0;
    for (int64_t x = begin; x < end; ++x) {
      w.push_back(std::max(0.0, 1 - std::abs((static_cast<double>(x) - centre + 0.5) * (1 / support))));
      sum += w.back();
    }
    f.first.push_back(begin);
    f.count.push_back(end - begin);
    int32_t* to = f.weight.data() + i * f.taps;
    for (const double x : w) *to++ = static_cast<int32_t>(0.5 + x / sum * (1 << kBits));
  }
  return f;
}

uint8_t rounded(int32_t sum) { return static_cast<uint8_t>(std::clamp(sum >> kBits, 0, 255)); }

// The pixel of one column in each of four rows: 4 × 4 channels, of which those that the image lacks hold anything.
struct Column {
  uint8_t bytes[16];
};

// A view of a part of an image: rows of `width` pixels, `stride` bytes apart.
struct View {
  const uint8_t* pixels;
  int64_t height, width, channels, stride;
};

// Rows y … y + 3 side by side; behind the last row, that one again.
void interleave(const View& in, int64_t y, Column* to) {
  const auto row = [&](int64_t r) { return in.pixels + std::min(y + r, in.height - 1) * in.stride; };
  const uint8_t* const from[4] = {row(0), row(1), row(2), row(3)};
  const int64_t c = in.channels, safe = std::max<int64_t>(0, in.width + 1 - (4 + c - 1) / c);
  for (int64_t x = 0; x < safe; ++x)  // 4 bytes at once: they lie within the row
    for (int r = 0; r < 4; ++r) std::memcpy(to[x].bytes + 4 * r, from[r] + x * c, 4);
  for (int64_t x = safe; x < in.width; ++x)
    for (int r = 0; r < 4; ++r) std::memcpy(to[x].bytes + 4 * r, from[r] + x * c, static_cast<size_t>(c));
}

// The weighted sum of `count` columns.
Column weighted(const Column* from, const int32_t* weight, int64_t count) {
  int32_t sum[16];
  for (int32_t& s : sum) s = kHalf;
  for (int64_t k = 0; k < count; ++k)
    for (int i = 0; i < 16; ++i) sum[i] += weight[k] * from[k].bytes[i];
  Column out;
  for (int i = 0; i < 16; ++i) out.bytes[i] = rounded(sum[i]);
  return out;
}

Image resize_rows(const View& in, int64_t width) {
  const Filter f = triangle(in.width, width);
  const int64_t c = in.channels, row = width * c;
  Image out{in.height, width, c, std::vector<uint8_t>(static_cast<size_t>(in.height * row))};
  std::vector<Column> columns(static_cast<size_t>(in.width)), narrow(static_cast<size_t>(width));
  for (int64_t y = 0; y < in.height; y += 4) {
    interleave(in, y, columns.data());
    for (int64_t x = 0; x < width; ++x)
      narrow[static_cast<size_t>(x)] = weighted(columns.data() + f.first[static_cast<size_t>(x)],
                                                f.weight.data() + x * f.taps, f.count[static_cast<size_t>(x)]);
    for (int64_t r = 0; r < std::min<int64_t>(4, in.height - y); ++r) {
      uint8_t* to = out.pixels.data() + (y + r) * row;
      int64_t x = 0;
      for (; x * c + 4 <= row; ++x, to += c) std::memcpy(to, narrow[static_cast<size_t>(x)].bytes + 4 * r, 4);
      for (; x < width; ++x, to += c)
        std::memcpy(to, narrow[static_cast<size_t>(x)].bytes + 4 * r, static_cast<size_t>(c));
    }
  }
  return out;
}

constexpr int64_t kBlock = 64;
// kBlock bytes of one row out.
void filter_columns(const uint8_t* from, int64_t stride, const int32_t* weight, int64_t count, uint8_t* to) {
  int32_t sum[kBlock];
  for (int32_t& s : sum) s = kHalf;
  for (int64_t k = 0; k < count; ++k, from += stride)
    for (int64_t i = 0; i < kBlock; ++i) sum[i] += weight[k] * from[i];
  for (int64_t i = 0; i < kBlock; ++i) to[i] = rounded(sum[i]);
}

Image resize_columns(const View& in, int64_t height) {
  const Filter f = triangle(in.height, height);
  const int64_t row = in.width * in.channels;
  Image out{height, in.width, in.channels, std::vector<uint8_t>(static_cast<size_t>(height * row))};
  for (int64_t y = 0; y < height; ++y) {
    const uint8_t* from = in.pixels + f.first[static_cast<size_t>(y)] * in.stride;
    const int32_t* weight = f.weight.data() + y * f.taps;
    const int64_t count = f.count[static_cast<size_t>(y)];
    uint8_t* to = out.pixels.data() + y * row;
    if (row >= kBlock) {
      for (int64_t i = 0; i < row; i += kBlock) {
        const int64_t at = std::min(i, row - kBlock);  // the last block overlaps the one before
        filter_columns(from + at, in.stride, weight, count, to + at);
      }
      continue;
    }
    for (int64_t i = 0; i < row; ++i) {
      int32_t sum = kHalf;
      for (int64_t k = 0; k < count; ++k) sum += weight[k] * from[k * in.stride + i];
      to[i] = rounded(sum);
    }
  }
  return out;
}

View view(const Image& i) { return {i.pixels.data(), i.height, i.width, i.channels, i.width * i.channels}; }

}  // namespace

Image resize(const Image& image, const Box& box, int64_t height, int64_t width) {
  check_image("resize", image);
  check(box.top >= 0 && box.left >= 0 && box.height >= 1 && box.width >= 1 && box.top <= image.height - box.height &&
            box.left <= image.width - box.width,
        "resize: the box of {} × {} pixels at ({}, {}) is not within {} × {}", box.height, box.width, box.top, box.left,
        image.height, image.width);
  check(height >= 1 && width >= 1 && height <= kMostPixels / width,
        "resize: expected at least 1 × 1 and at most {} pixels, got {} × {}", kMostPixels, height, width);
  const int64_t stride = image.width * image.channels;
  View from{image.pixels.data() + box.top * stride + box.left * image.channels, box.height, box.width, image.channels,
            stride};
  Image rows;
  if (width != box.width) {
    rows = resize_rows(from, width);
    from = view(rows);
  }
  if (height != from.height) return resize_columns(from, height);
  if (!rows.pixels.empty()) return rows;
  Image copy{height, width, image.channels, std::vector<uint8_t>(static_cast<size_t>(height * width * image.channels))};
  const int64_t row = width * image.channels;
  for (int64_t y = 0; y < height; ++y)
    std::memcpy(copy.pixels.data() + y * row, from.pixels + y * stride, static_cast<size_t>(row));
  return copy;
}

Image resize(const Image& image, int64_t height, int64_t width) {
  return resize(image, {0, 0, image.height, image.width}, height, width);
}

}  // namespace holt::data
