// The benchmark glyphs: its masters, its samples against NumPy's, what makes it a benchmark.
#include "data/glyphs.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <numeric>
#include <set>

#include "data/embedded.h"
#include "kernels/parallel.h"
#include "tests/harness/expect_error.h"

namespace holt::data {
namespace {

constexpr int64_t kPixels = 28 * 28;

const Benchmark& glyphs() {
  static const std::unique_ptr<Benchmark> benchmark = open_benchmark("glyphs");
  return *benchmark;
}

const GlyphFont& font(const std::string& name) {
  for (const GlyphFont& f : glyph_fonts())
    if (f.name == name) return f;
  fail("no font {}", name);
}

std::vector<float> pixels(const Dataset& d) { return d.images.to_vector<float>(); }

TEST(Glyphs, HasTheClassesAndDomainsOfItsDescription) {
  EXPECT_EQ(glyphs().classes().size(), 62u);
  EXPECT_EQ(glyphs().classes()[0], "0");
  EXPECT_EQ(glyphs().classes()[10], "A");
  EXPECT_EQ(glyphs().classes()[61], "z");
  EXPECT_EQ(glyphs().source(), "fonts");
  EXPECT_EQ(glyphs().targets("fonts"),
            (std::vector<std::string>{"Bajaderka", "Breip", "Dancing Script", "Delphine", "dkg", "Domestic Manners",
                                      "Havana", "Kaushan Script", "Kristi", "Rufscript"}));
  EXPECT_EQ(glyphs().domains().size(), 11u);
  EXPECT_EQ(glyphs().targets("Breip").size(), 10u);
  EXPECT_EQ(glyphs().targets("Breip")[0], "fonts");
  EXPECT_EQ(glyphs().image_shape(), Shape({28, 28, 1}));
}

TEST(Glyphs, MastersAgreeWithTheirIndex) {
  std::set<std::string> masters, names;
  int sources = 0;
  for (const GlyphFont& f : glyph_fonts()) {
    EXPECT_TRUE(masters.insert(f.master).second && names.insert(f.name).second) << f.name << " stands twice";
    EXPECT_FALSE(f.package.empty() || f.file.empty() || f.licence.empty()) << f.name;
    sources += !f.target;
    const std::vector<uint8_t> cells = glyph_masters(f);
    ASSERT_EQ(cells.size(), 62u * 56 * 56);
    std::vector<int> heights, bottoms;
    for (int64_t c = 0; c < 62; ++c) {
      const uint8_t* cell = &cells[c * 56 * 56];
      int left = 56, right = -1, top = 56, bottom = -1;
      for (int y = 0; y < 56; ++y)
        for (int x = 0; x < 56; ++x)
          if (cell[y * 56 + x] > 0)
            left = std::min(left, x), right = std::max(right, x), top = std::min(top, y), bottom = std::max(bottom, y);
      ASSERT_LE(left, right) << f.name << " has no ink for " << glyphs().classes()[c];
      EXPECT_GE(*std::max_element(cell, cell + 56 * 56), 100) << f.name << " is faint at " << glyphs().classes()[c];
      EXPECT_NEAR(left + right, 55, 2) << f.name << " is not centred at " << glyphs().classes()[c];
      if (c >= 10 && c < 36) heights.push_back(bottom - top + 1), bottoms.push_back(bottom);
    }
    std::nth_element(heights.begin(), heights.begin() + 13, heights.end());
    EXPECT_NEAR(heights[13], 35, 1.5) << f.name;  // 34 rows, and a part of one or two more
    std::nth_element(bottoms.begin(), bottoms.begin() + 13, bottoms.end());
    EXPECT_NEAR(bottoms[13], 41.5, 1) << f.name << " does not stand on the baseline";
  }
  EXPECT_EQ(sources, 55);
  EXPECT_EQ(embedded_glyphs().size(), masters.size() + 1);  // and index.json
}

TEST(Glyphs, IsBalanced) {
  for (const std::string& domain : glyphs().domains())
    for (const Part part : {Part::train, Part::test}) {
      const Dataset d = glyphs().load(domain, part, 1);
      const int64_t each = domain == "fonts" ? 55 * (part == Part::train ? 8 : 1) : 10;
      EXPECT_NO_THROW(validate(d));
      ASSERT_EQ(d.images.shape(), Shape({62 * each, 28, 28, 1})) << domain;
      EXPECT_EQ(d.classes, glyphs().classes());
      std::vector<int64_t> count(62), inked(62);
      std::vector<float> most(62);
      const float* x = d.images.data<float>();
      for (int64_t i = 0; i < d.size(); ++i, x += kPixels) {
        const int64_t label = d.labels.data<int64_t>()[i];
        ++count[label];
        for (int64_t p = 0; p < kPixels; ++p) ASSERT_TRUE(x[p] >= 0 && x[p] <= 1) << domain << ' ' << i << ' ' << x[p];
        inked[label] += std::accumulate(x, x + kPixels, 0.0) > 2.0;
      }
      EXPECT_EQ(count, std::vector<int64_t>(62, each)) << domain;
      EXPECT_EQ(inked, count) << domain << ": an image has hardly any ink";
    }
}

TEST(Glyphs, IsTheSameWhateverTheThreads) {
  for (const auto& [domain, part] : {std::pair{"fonts", Part::test}, {"Kristi", Part::train}}) {
    const Dataset d = glyphs().load(domain, part, 3);
    const ThreadLimit one(1);
    const Dataset e = open_benchmark("glyphs")->load(domain, part, 3);
    EXPECT_EQ(pixels(d), pixels(e));
    EXPECT_EQ(d.labels.to_vector<int64_t>(), e.labels.to_vector<int64_t>());
  }
}

TEST(Glyphs, SeedsAndPartsShareNoImage) {
  std::set<std::vector<float>> seen;
  size_t all = 0;
  for (const uint64_t seed : {uint64_t{0}, uint64_t{1}, uint64_t{1} << 32})
    for (const Part part : {Part::train, Part::test}) {
      const std::vector<float> x = pixels(glyphs().load("Havana", part, seed));
      for (size_t i = 0; i < x.size(); i += kPixels, ++all) seen.emplace(x.begin() + i, x.begin() + i + kPixels);
    }
  EXPECT_EQ(seen.size(), all);
}

TEST(Glyphs, WarpsStayInTheirBoundsAndFillThem) {
  constexpr int kCount = 3000;
  constexpr double kDegree = 3.14159265358979 / 180;
  double low[6], high[6], mean[6] = {};
  std::fill_n(low, 6, 1.0), std::fill_n(high, 6, -1.0);
  for (int i = 0; i < kCount; ++i) {
    const GlyphWarp w = glyph_warp(1, "Breip", Part::train, i % 62, i / 62);
    const double r[6] = {w.angle / (8 * kDegree), (w.scale - 1) / 0.10, (w.aspect - 1) / 0.08,
                         w.shear / 0.12,          w.shift_x / 3,        w.shift_y / 3};
    for (int k = 0; k < 6; ++k) {
      low[k] = std::min(low[k], r[k]), high[k] = std::max(high[k], r[k]), mean[k] += r[k] / kCount;
    }
  }
  for (int k = 0; k < 6; ++k) {
    EXPECT_TRUE(low[k] >= -1 - 1e-9 && low[k] < -0.99) << k;
    EXPECT_TRUE(high[k] <= 1 + 1e-9 && high[k] > 0.99) << k;
    EXPECT_NEAR(mean[k], 0, 5 / std::sqrt(3.0 * kCount)) << k;
  }
}

// Printed by data/glyphs/check_sample.py 7 Breip test R 3, which knows the formula only.
TEST(Glyphs, ASampleAgreesWithNumPy) {
  const GlyphWarp w = glyph_warp(7, "Breip", Part::test, 27, 3);
  EXPECT_NEAR(w.angle, 0.115419521, 1e-9);
  EXPECT_NEAR(w.scale, 0.911495256, 1e-9);
  EXPECT_NEAR(w.aspect, 0.950779409, 1e-9);
  EXPECT_NEAR(w.shear, -0.090119190, 1e-9);
  EXPECT_NEAR(w.shift_x, 1.064576268, 1e-9);
  EXPECT_NEAR(w.shift_y, -2.366001964, 1e-9);
  const Dataset d = glyphs().load("Breip", Part::test, 7);
  const float* x = d.images.data<float>() + (27 * 10 + 3) * kPixels;
  EXPECT_EQ(d.labels.data<int64_t>()[27 * 10 + 3], 27);
  EXPECT_NEAR(std::accumulate(x, x + kPixels, 0.0), 44.788862, 1e-3);
  const std::array<double, 16> row8 = {0, 0, 0, 0.8509408, 0.2759747, 0, 0, 0.0970625, 0.8233272, 0.6343837, 0.0724348};
  const std::array<double, 16> row16 = {0, 0.0981463, 0.9646722, 0.2024784, 0,         0,         0,         0,
                                        0, 0,         0,         0.0503506, 0.3643816, 0.6079315, 0.0733323, 0};
  for (int i = 0; i < 16; ++i) {
    EXPECT_NEAR(x[8 * 28 + 6 + i], row8[i], 1e-5) << i;
    EXPECT_NEAR(x[16 * 28 + 6 + i], row16[i], 1e-5) << i;
  }
}

TEST(Glyphs, WithoutAWarpASampleIsTheMasterHalved) {
  const std::vector<uint8_t> cells = glyph_masters(font("Lato-Regular"));
  float sample[kPixels];
  for (const int64_t c : {0, 26, 61}) {
    const uint8_t* m = &cells[c * 56 * 56];
    warp_glyph({0, 1, 1, 0, 0, 0}, m, sample);
    for (int y = 0; y < 28; ++y)
      for (int x = 0; x < 28; ++x) {
        const uint8_t* p = m + 2 * y * 56 + 2 * x;
        EXPECT_NEAR(sample[y * 28 + x], (p[0] + p[1] + p[56] + p[57]) / 1020.0, 1e-6);
      }
    // Far outside the cell everything is black.
    warp_glyph({0, 1, 1, 0, 500, -500}, m, sample);
    EXPECT_EQ(*std::max_element(sample, sample + kPixels), 0.0f);
  }
}

// 1-nearest-neighbour from three quarters of the text fonts to the others: labels belong to their images. It cannot be
// perfect: O and 0, I and l are the same strokes.
TEST(Glyphs, ANeighbourInAnotherFontHasTheSameLabel) {
  const Dataset d = glyphs().load("fonts", Part::test, 2);  // [font][class]
  const float* x = d.images.data<float>();
  std::vector<std::array<float, 196>> small(d.size());  // 2 × 2 means: four times quicker
  for (int64_t i = 0; i < d.size(); ++i)
    for (int p = 0; p < 196; ++p) {
      const float* q = x + i * kPixels + p / 14 * 56 + p % 14 * 2;
      small[i][p] = q[0] + q[1] + q[28] + q[29];
    }
  int right = 0, asked = 0;
  for (int64_t i = 0; i < d.size(); ++i) {
    if (i / 62 % 4) continue;
    float best = INFINITY;
    int64_t label = -1;
    for (int64_t j = 0; j < d.size(); ++j) {
      if (j / 62 % 4 == 0) continue;
      const float *a = small[i].data(), *b = small[j].data();
      float distance = 0;  // only grows
      for (int p = 0; p < 196 && distance < best; ++p) distance += (a[p] - b[p]) * (a[p] - b[p]);
      if (distance < best) best = distance, label = d.labels.data<int64_t>()[j];
    }
    right += label == d.labels.data<int64_t>()[i], ++asked;
  }
  EXPECT_EQ(asked, 14 * 62);
  EXPECT_GT(right, 0.40 * asked) << right << " of " << asked;
  RecordProperty("accuracy", right * 100 / asked);
}

TEST(Glyphs, RefusesWhatItHasNot) {
  EXPECT_ERROR(glyphs().load("Helvetica", Part::train, 0), "Dancing Script");
  EXPECT_ERROR(glyphs().targets("Helvetica"), "Helvetica");
  EXPECT_ERROR(open_benchmark("glyphs", {"/tmp", 0}), "reads no folder");
  EXPECT_ERROR(open_benchmark("glyphs", {"", 32}), "28 × 28; a size of 32");
  EXPECT_NO_THROW(open_benchmark("glyphs", {"", 28}));
}

}  // namespace
}  // namespace holt::data
