#include "data/glyphs.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numbers>

#include "core/json.h"
#include "data/embedded.h"
#include "kernels/parallel.h"
#include "kernels/philox.h"

namespace holt::data {
namespace {

constexpr int64_t kClasses = 62, kMaster = kGlyphMasterSide, kColumns = 16;
constexpr const char* kFonts = "fonts";

const EmbeddedFile& embedded(std::string_view name) {
  for (const EmbeddedFile& file : embedded_glyphs())
    if (file.name == name) return file;
  fail("glyphs: '{}' is not among the files built into this program", name);
}

const std::vector<std::string>& glyph_classes() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (const auto& [from, to] : {std::pair{'0', '9'}, {'A', 'Z'}, {'a', 'z'}})
      for (char c = from; c <= to; ++c) all.emplace_back(1, c);
    return all;
  }();
  return names;
}

// FNV-1a. By name and not by place, so that a font's samples do not depend on which others there are.
uint64_t stream_of(const std::string& font, Part part) {
  uint64_t hash = 0xCBF29CE484222325u;
  for (const unsigned char c : "glyphs/" + font + (part == Part::train ? "/train" : "/test"))
    hash = (hash ^ c) * 0x100000001B3u;
  return hash;
}

}  // namespace

GlyphWarp glyph_warp(uint64_t seed, const std::string& font, Part part, int64_t label, int64_t i) {
  const uint64_t stream = stream_of(font, part), index = 2 * (static_cast<uint64_t>(i) * kClasses + label);
  const Philox4 a = philox(seed, stream, index), b = philox(seed, stream, index + 1);
  const auto within = [](double bound, uint32_t bits) { return bound * (2.0 * uniform01(bits) - 1.0); };
  return {within(8.0 / 180.0 * std::numbers::pi, a.v[0]),
          1.0 + within(0.10, a.v[1]),
          1.0 + within(0.08, a.v[2]),
          within(0.12, a.v[3]),
          within(3.0, b.v[0]),
          within(3.0, b.v[1])};
}

void warp_glyph(const GlyphWarp& w, const uint8_t* master, float* sample) {
  // With a frame of zeros, points outside can be clamped to it: no branch in the loop.
  constexpr int kWidth = kMaster + 3;
  float padded[kWidth * kWidth] = {};
  for (int64_t y = 0; y < kMaster; ++y)
    for (int64_t x = 0; x < kMaster; ++x) padded[(y + 1) * kWidth + x + 1] = master[y * kMaster + x];

  const double cos = std::cos(w.angle), sin = std::sin(w.angle);
  const double sx = w.scale * std::sqrt(w.aspect), sy = w.scale / std::sqrt(w.aspect);
  const double a00 = cos * sx, a01 = (cos * w.shear - sin) * sy, a10 = sin * sx, a11 = (sin * w.shear + cos) * sy;
  const double det = a00 * a11 - a01 * a10, half = kMaster / 2.0;
  const auto i00 = static_cast<float>(a11 / det), i01 = static_cast<float>(-a01 / det);
  const auto i10 = static_cast<float>(-a10 / det), i11 = static_cast<float>(a00 / det);
  const auto cx = static_cast<float>(half + w.shift_x), cy = static_cast<float>(half + w.shift_y);
  // From a master point to a place in `padded`: ½ less for the pixel's middle, 1 more for the frame.
  const auto offset = static_cast<float>(half + 0.5);

  // By value: std::clamp's references keep GCC from vectorising; so, the four reads are gathers.
  const auto within_frame = [](float p) {
    p = p > 0.0f ? p : 0.0f;
    return p < kMaster + 1 ? p : kMaster + 1.0f;
  };

  // GCC 12 stores whole vectors into `warped` as if it were aligned so, without seeing to it.
  alignas(64) float warped[kMaster * kMaster];
  for (int y = 0; y < kMaster; ++y) {
    const float dy = static_cast<float>(y) + 0.5f - cy;
#pragma omp simd
    for (int x = 0; x < kMaster; ++x) {
      const float dx = static_cast<float>(x) + 0.5f - cx;
      const float u = within_frame(i00 * dx + i01 * dy + offset), v = within_frame(i10 * dx + i11 * dy + offset);
      const int left = static_cast<int>(u), top = static_cast<int>(v), at = top * kWidth + left;
      const float fx = u - static_cast<float>(left), fy = v - static_cast<float>(top);
      const float above = padded[at] + fx * (padded[at + 1] - padded[at]);
      const float below = padded[at + kWidth] + fx * (padded[at + kWidth + 1] - padded[at + kWidth]);
      warped[y * kMaster + x] = above + fy * (below - above);
    }
  }
  for (int64_t y = 0; y < kGlyphSide; ++y)
    for (int64_t x = 0; x < kGlyphSide; ++x) {
      const float* p = warped + 2 * y * kMaster + 2 * x;
      const float mean = (p[0] + p[1] + p[kMaster] + p[kMaster + 1]) * (1.0f / (4 * 255));
      sample[y * kGlyphSide + x] = std::clamp(mean, 0.0f, 1.0f);
    }
}

const std::vector<GlyphFont>& glyph_fonts() {
  static const std::vector<GlyphFont> fonts = [] {
    const EmbeddedFile& file = embedded("index.json");
    const auto* text = reinterpret_cast<const char*>(file.bytes.data());
    const auto index = parse_json({text, file.bytes.size()});
    std::string classes;
    for (const std::string& name : glyph_classes()) classes += name;
    check(index.at("classes") == classes && index.at("cell") == kMaster && index.at("columns") == kColumns,
          "glyphs: index.json describes other sheets than this program reads");
    std::vector<GlyphFont> all;
    for (const auto& e : index.at("fonts"))
      all.push_back(
          {e.at("font"), e.at("role") == "target", e.at("package"), e.at("file"), e.at("licence"), e.at("master")});
    return all;
  }();
  return fonts;
}

std::vector<uint8_t> glyph_masters(const GlyphFont& font) {
  const Image sheet = decode_png(embedded(font.master).bytes, font.master);
  const int64_t rows = (kClasses + kColumns - 1) / kColumns;
  check(sheet.channels == 1 && sheet.width == kColumns * kMaster && sheet.height == rows * kMaster,
        "glyphs: {} is {} × {} pixels of {} channels, expected {} × {} of 1", font.master, sheet.width, sheet.height,
        sheet.channels, kColumns * kMaster, rows * kMaster);
  std::vector<uint8_t> cells(kClasses * kMaster * kMaster);
  auto to = cells.begin();
  for (int64_t c = 0; c < kClasses; ++c)
    for (int64_t y = 0; y < kMaster; ++y) {
      const int64_t row = c / kColumns * kMaster + y, column = c % kColumns * kMaster;
      to = std::copy_n(sheet.pixels.begin() + row * sheet.width + column, kMaster, to);
    }
  return cells;
}

namespace {

class Glyphs : public Benchmark {
 public:
  Glyphs() : domains_{kFonts} {
    for (const GlyphFont& font : glyph_fonts())
      if (font.target) domains_.push_back(font.name);
  }

  const std::vector<std::string>& classes() const override { return glyph_classes(); }
  const std::vector<std::string>& domains() const override { return domains_; }
  std::string source() const override { return kFonts; }
  std::vector<std::string> targets(const std::string& source) const override {
    domain_index(*this, "glyphs", source);
    std::vector<std::string> others = domains_;
    std::erase(others, source);
    return others;
  }
  Normalize normalize() const override { return {{0.2f}, {0.35f}}; }
  Shape image_shape() const override { return {kGlyphSide, kGlyphSide, 1}; }

  // Samples stand font by font, class by class.
  Dataset load(const std::string& domain, Part part, uint64_t seed) const override {
    domain_index(*this, "glyphs", domain);
    std::vector<const GlyphFont*> fonts;
    for (const GlyphFont& font : glyph_fonts())
      if (font.target ? font.name == domain : domain == kFonts) fonts.push_back(&font);
    const int64_t each = domain != kFonts ? 10 : part == Part::train ? 8 : 1;
    const int64_t per_font = kClasses * each, n = static_cast<int64_t>(fonts.size()) * per_font;
    Dataset dataset{format("glyphs/{} ({})", domain, part == Part::train ? "train" : "test"),
                    empty({n, kGlyphSide, kGlyphSide, 1}, DType::f32), empty({n}, DType::i64), glyph_classes()};
    std::vector<uint8_t> masters;
    for (const GlyphFont* font : fonts) {
      const std::vector<uint8_t> cells = glyph_masters(*font);
      masters.insert(masters.end(), cells.begin(), cells.end());
    }
    float* images = dataset.images.data<float>();
    int64_t* labels = dataset.labels.data<int64_t>();
    parallel_for(n, kMaster * kMaster, [&](int64_t begin, int64_t end) {
      for (int64_t s = begin; s < end; ++s) {
        const int64_t font = s / per_font, cell = s / each;
        labels[s] = cell % kClasses;
        warp_glyph(glyph_warp(seed, fonts[font]->name, part, labels[s], s % each), &masters[cell * kMaster * kMaster],
                   images + s * kGlyphSide * kGlyphSide);
      }
    });
    return dataset;
  }

 private:
  std::vector<std::string> domains_;
};

}  // namespace

std::unique_ptr<Benchmark> open_glyphs(const BenchmarkOptions& options) {
  check(options.folder.empty(), "glyphs: is part of the program and reads no folder, but '{}' was given",
        options.folder);
  check(options.image_size == 0 || options.image_size == kGlyphSide,
        "glyphs: images are {} × {}; a size of {} was asked for", kGlyphSide, kGlyphSide, options.image_size);
  return std::make_unique<Glyphs>();
}

}  // namespace holt::data
