// glyphs: the 62 letters and digits, printed in 55 text fonts (the source) and written in ten hands (the targets). Real
// shapes that are part of the program (data/glyphs/README.md tells where they come from); 28 × 28, white on black.
//
// A sample is an affine warp of its font's master m (56 × 56, zero outside), then the mean of each 2 × 2 pixels:
//
//   [x, y]ᵀ = A·([u, v]ᵀ − c) + c + t      where master point (u, v) goes; c = (28, 28), the middle of the cell
//   A       = R(θ)·[1 k; 0 1]·diag(s√a, s/√a)
//   warp(x, y) = m(A⁻¹·([x, y]ᵀ − c − t) + c)          bilinear, at pixel middles (i + ½, j + ½)
//
// θ ∈ ±8° (positive turns x towards y, which points down), scale s ∈ 1 ± 0.10, aspect a ∈ 1 ± 0.08, shear k ∈ ±0.12,
// shift tx, ty ∈ ±3 master pixels: six uniform numbers of philox(seed, hash of font and part, class and index).
#pragma once
#include <memory>

#include "data/benchmark.h"
#include "data/png.h"

namespace holt::data {

inline constexpr int64_t kGlyphSide = 28, kGlyphMasterSide = 56;

struct GlyphWarp {
  double angle;                 ///< θ in radians
  double scale, aspect, shear;  ///< s, a, k
  double shift_x, shift_y;      ///< t in master pixels
};

/// The warp of the i-th sample of a class in one font.
GlyphWarp glyph_warp(uint64_t seed, const std::string& font, Part part, int64_t label, int64_t i);

/// sample[28, 28] in 0 … 1 ← master[56, 56] in 0 … 255.
void warp_glyph(const GlyphWarp& warp, const uint8_t* master, float* sample);

struct GlyphFont {
  std::string name;           ///< a target's name is its domain's
  bool target;                ///< handwriting
  std::string package, file;  ///< Debian's
  std::string licence;
  std::string master;  ///< embedded file's name
};
/// In the order of data/glyphs/masters/index.json.
const std::vector<GlyphFont>& glyph_fonts();

/// The masters [62, 56, 56] of a font.
std::vector<uint8_t> glyph_masters(const GlyphFont& font);

/// Domains: "fonts", with 8 training and 1 test sample of each class and text font, then each hand by its font's name,
/// with 10 and 10. Options: none; a folder, or a size other than 28, is an Error.
std::unique_ptr<Benchmark> open_glyphs(const BenchmarkOptions& options);

}  // namespace holt::data
