#include "data/contact_sheet.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "data/image.h"

namespace holt::data {
namespace {

using Colour = std::array<uint8_t, 3>;
constexpr Colour kPaper = {238, 238, 238}, kEmpty = {216, 216, 216}, kSourceColour = {31, 119, 180},
                 kTargetColour = {255, 127, 14};
constexpr int64_t kSmall = 40, kLarge = 112;                              // sides of images
constexpr int64_t kMargin = 12, kBetween = 2, kBar = 4, kColumnGap = 24;  // pixels of the sheet
constexpr double kShape = 1.5;                                            // width : height to come near to

int64_t cell_side(int64_t side) { return side <= kSmall ? 2 * side : std::min(side, kLarge); }

Image cell(const Dataset& d, int64_t sample, int64_t side) {
  const int64_t h = d.images.size(1), w = d.images.size(2), c = d.images.size(3), n = h * w * c;
  Image image{h, w, c, std::vector<uint8_t>(static_cast<size_t>(n))};
  for (int64_t i = 0; i < n; ++i)
    image.pixels[static_cast<size_t>(i)] =
        d.images.dtype() == DType::u8
            ? d.images.data<uint8_t>()[sample * n + i]
            : static_cast<uint8_t>(std::lround(255 * std::clamp(d.images.data<float>()[sample * n + i], 0.0f, 1.0f)));
  Image rgb = to_channels(image, 3);
  if (h != w || 2 * h != side) return resize(rgb, side, side);
  Image doubled{side, side, 3, {}};  // pixels stay visible
  for (int64_t y = 0; y < side; ++y)
    for (int64_t x = 0; x < side; ++x)
      for (int64_t k = 0; k < 3; ++k)
        doubled.pixels.push_back(rgb.pixels[static_cast<size_t>((y / 2 * w + x / 2) * 3 + k)]);
  return doubled;
}

void fill(Image& sheet, int64_t x, int64_t y, int64_t width, int64_t height, Colour colour) {
  for (int64_t row = y; row < y + height; ++row)
    for (int64_t column = x; column < x + width; ++column)
      std::copy(colour.begin(), colour.end(), sheet.pixels.begin() + (row * sheet.width + column) * 3);
}

void paste(Image& sheet, int64_t x, int64_t y, const Image& image) {
  for (int64_t row = 0; row < image.height; ++row)
    std::copy_n(image.pixels.begin() + row * image.width * 3, image.width * 3,
                sheet.pixels.begin() + ((y + row) * sheet.width + x) * 3);
}

std::vector<std::vector<int64_t>> samples_by_class(const Dataset& d) {
  std::vector<std::vector<int64_t>> samples(d.classes.size());
  for (int64_t i = 0; i < d.size(); ++i) samples[static_cast<size_t>(d.labels.data<int64_t>()[i])].push_back(i);
  return samples;
}

}  // namespace

ContactSheet contact_sheet(const Dataset& source, const Dataset& target, int64_t per_class, int64_t classes) {
  validate(source), validate(target);
  check(source.classes == target.classes, "contact_sheet: {} and {} have different classes", source.name, target.name);
  check(per_class >= 1 && classes >= 1, "contact_sheet: at least 1 image of 1 class, got {} of {}", per_class, classes);
  const int64_t count = std::min(classes, source.num_classes());
  const int64_t side = cell_side(std::max(source.images.size(1), source.images.size(2))), step = side + kBetween;
  const int64_t half = kBar + kBetween + per_class * step, row_width = 2 * half + kBar;

  // As many columns as bring the sheet nearest to its shape.
  int64_t columns = 1;
  double nearest = 1e300;
  for (int64_t k = 1; k <= count; ++k) {
    const double width = static_cast<double>(k * (row_width + kColumnGap));
    const double distance = std::abs(std::log(width / static_cast<double>((count + k - 1) / k * step) / kShape));
    if (distance < nearest) nearest = distance, columns = k;
  }
  const int64_t rows = (count + columns - 1) / columns;
  columns = (count + rows - 1) / rows;
  ContactSheet out;
  Image& sheet = out.image = {
      2 * kMargin + rows * step - kBetween, 2 * kMargin + columns * (row_width + kColumnGap) - kColumnGap, 3, {}};
  sheet.pixels.resize(static_cast<size_t>(sheet.height * sheet.width * 3));
  fill(sheet, 0, 0, sheet.width, sheet.height, kPaper);

  out.rows.resize(static_cast<size_t>(columns));
  const auto of_source = samples_by_class(source), of_target = samples_by_class(target);
  for (int64_t k = 0; k < count; ++k) {
    out.rows[static_cast<size_t>(k / rows)].push_back(k);
    const int64_t y = kMargin + k % rows * step;
    int64_t x = kMargin + k / rows * (row_width + kColumnGap);
    for (const auto& [data, samples, colour] :
         {std::tuple{&source, &of_source, kSourceColour}, {&target, &of_target, kTargetColour}}) {
      const std::vector<int64_t>& own = (*samples)[static_cast<size_t>(k)];
      const int64_t there = std::ssize(own), shown = std::min(there, per_class);
      fill(sheet, x, y, kBar, side, colour);
      x += kBar + kBetween;
      for (int64_t i = 0; i < per_class; ++i, x += step)
        if (i < shown)
          paste(sheet, x, y, cell(*data, own[static_cast<size_t>(i * there / shown)], side));
        else
          fill(sheet, x, y, side, side, kEmpty);
      x += kBar;
    }
  }
  return out;
}

}  // namespace holt::data
