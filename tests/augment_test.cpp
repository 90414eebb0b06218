// Augmentation: every change bit for bit what torchvision makes of PIL images (tests/golden/augment.json, written by
// make_augment_goldens.py), the draws, and that neither batches nor workers change what comes out.
#include "data/augment.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <cmath>
#include <map>
#include <set>

#include "data/affine.h"
#include "data/colour.h"
#include "data/loader.h"
#include "data/mix.h"
#include "data/rand_augment.h"
#include "kernels/file.h"
#include "tests/harness/expect_error.h"
#include "tests/harness/json.h"

namespace holt::data {
namespace {

// The script's picture().
Image picture(int64_t height, int64_t width, int64_t channels) {
  Image i{height, width, channels, {}};
  for (int64_t y = 0; y < height; ++y)
    for (int64_t x = 0; x < width; ++x)
      for (int64_t c = 0; c < channels; ++c)
        i.pixels.push_back(static_cast<uint8_t>((x * 7 + y * 13 + c * 50 + x * y % 31 * 3) % (256 - 40 * c) + 5 * c));
  return i;
}

uint32_t checksum(const Image& i) {
  return static_cast<uint32_t>(crc32(0, i.pixels.data(), static_cast<uInt>(i.pixels.size())));
}

TEST(Augment, EveryBitIsTorchvisionsOnPil) {
  using Change = Image (*)(Image, double);
  const std::map<std::string, Change> changes = {
      {"brightness", adjust_brightness},
      {"contrast", adjust_contrast},
      {"saturation", adjust_saturation},
      {"sharpness", adjust_sharpness},
      {"hue", adjust_hue},
      {"rotate_nearest", [](Image i, double s) { return rotate(i, s); }},
      {"rotate_bilinear", [](Image i, double s) { return rotate(i, s, Sampling::bilinear, 7); }}};
  std::map<std::string, const RandChange*> random;
  for (const RandChange& c : rand_changes()) random[c.name] = &c;
  EXPECT_EQ(random.size(), 14u);

  const nlohmann::json golden = parse_json(read_file(std::string(HOLT_SOURCE_DIR) + "/tests/golden/augment.json"));
  std::set<std::string> seen;
  for (const auto& g : golden.at("cases")) {
    const std::string op = g.at("op");
    const Image image = picture(g["size"][0], g["size"][1], g["size"][2]);
    Image out;
    if (op == "resized_crop") {
      const auto& b = g["box"];
      out = resize(image, {b[0], b[1], b[2], b[3]}, g["to"][0], g["to"][1]);
    } else if (random.contains(op)) {
      const RandChange& c = *random[op];
      const double sign = g["sign"], strength = sign * c.strength(g["magnitude"], image.height, image.width);
      EXPECT_NEAR(strength, g["strength"].get<double>(), 1e-6 * std::abs(strength)) << g;
      EXPECT_TRUE(sign > 0 || c.has_sign) << g;
      out = c.apply(image, strength);
    } else {
      out = changes.at(op)(image, g["strength"]);
    }
    EXPECT_EQ(checksum(out), g["crc"].get<uint32_t>()) << g;
    seen.insert(op);
  }
  EXPECT_EQ(seen.size(), random.size() + changes.size() + 1);
}

TEST(Augment, BadArguments) {
  const Image image = picture(4, 4, 3);
  EXPECT_ERROR(adjust_hue(image, 0.6), "adjust_hue: expected a turn of -0.5 … 0.5, got 0.6");
  EXPECT_ERROR(adjust_hue(image, std::nan("")), "got nan");
  EXPECT_ERROR(posterize(image, 9), "0 … 8 bits, got 9");
  EXPECT_ERROR(equalize(Image{2, 2, 4, std::vector<uint8_t>(16)}), "equalize: expected a gray or RGB image");
  EXPECT_ERROR(transform(Image{}, {1, 0, 0, 0, 1, 0}), "transform: 0 × 0");
  EXPECT_ERROR(resize(image, {1, 1, 4, 2}, 2, 2), "resize: the box of 4 × 2 pixels at (1, 1) is not within 4 × 4");
  EXPECT_ERROR(augment_preset("heavy"), "got 'heavy'");
  EXPECT_ERROR(validate(Augment{.least_area = 0.5, .most_area = 0.4}), "share");
  EXPECT_ERROR(validate(Augment{.brightness = -1}), "brightness");
  EXPECT_ERROR(validate(Augment{.rand_magnitude = 31}), "magnitude of 0 … 30, got 0 of 31");
  for (const std::string& name : augment_presets()) EXPECT_NO_THROW(validate(augment_preset(name))) << name;
}

TEST(Augment, CropsAreDistributedAsTorchvisions) {
  const Augment a = augment_preset("imagenet");
  double area = 0, ratio = 0;
  int64_t kept = 0;
  constexpr int kCount = 20000;
  for (int64_t i = 0; i < kCount; ++i) {
    Draws draws(3, 0, i);
    const Box b = random_crop(a, 375, 500, draws);
    ASSERT_TRUE(b.top >= 0 && b.left >= 0 && b.top + b.height <= 375 && b.left + b.width <= 500);
    const double share = static_cast<double>(b.height * b.width) / (375 * 500);
    const double r = static_cast<double>(b.width) / static_cast<double>(b.height);
    ASSERT_TRUE(share > 0.079 && share < 1.001 && r > 0.74 && r < 1.35) << share << " " << r;
    area += share, ratio += std::log(r), kept += b.height < 375;
  }
  // Means of a million draws of get_params of torchvision 0.29.2; σ of these means is 0.0015 and 0.0012.
  EXPECT_NEAR(area / kCount, 0.4329, 0.006);
  EXPECT_NEAR(ratio / kCount, 0.0307, 0.005);
  EXPECT_GT(kept, kCount * 9 / 10);
  // Where no crop fits: the middle, as large as the ratios allow.
  Draws draws(3, 0, 0);
  EXPECT_EQ(random_crop(a, 10, 1000, draws), (Box{0, 493, 10, 13}));
  EXPECT_EQ(random_crop(a, 1000, 10, draws), (Box{493, 0, 13, 10}));
  EXPECT_EQ(random_crop({.least_area = 1}, 30, 40, draws), (Box{0, 0, 30, 40}));
}

TEST(Augment, DrawsAreUniformAndNamedByTheirIndex) {
  double sum = 0, square = 0, beta = 0, beta_square = 0;
  constexpr int kCount = 50000;
  for (int64_t i = 0; i < kCount; ++i) {
    Draws d(1, 2, i), same(1, 2, i), other(1, 3, i);
    const double u = d.uniform01(), v = d.uniform01();
    EXPECT_EQ(u, same.uniform01());
    EXPECT_NE(u, other.uniform01());
    EXPECT_NE(u, v);
    sum += u, square += v * v;
    const double b = d.beta(0.4, 0.4);
    ASSERT_TRUE(b >= 0 && b <= 1);
    beta += b, beta_square += (b - 0.5) * (b - 0.5);
  }
  EXPECT_NEAR(sum / kCount, 0.5, 0.006);
  EXPECT_NEAR(square / kCount, 1.0 / 3, 0.006);
  EXPECT_NEAR(beta / kCount, 0.5, 0.008);
  EXPECT_NEAR(beta_square / kCount, 0.25 / 1.8, 0.004);  // 1 / (4·(2α + 1))
}

Dataset photos(int64_t n, int64_t channels = 3) {
  std::vector<uint8_t> pixels;
  std::vector<int64_t> labels;
  for (int64_t i = 0; i < n; ++i) {
    const Image p = picture(20, 16, channels);
    for (const uint8_t v : p.pixels) pixels.push_back(static_cast<uint8_t>(v + 10 * i));
    labels.push_back(i % 5);
  }
  return {"photos", from(pixels, {n, 20, 16, channels}), from(labels, {n}), {"a", "b", "c", "d", "e"}};
}

struct Seen {
  std::vector<float> images;
  std::vector<int64_t> labels, others;
  std::vector<double> shares;
  friend bool operator==(const Seen&, const Seen&) = default;
};
Seen epoch_of(const Loader& loader, int64_t epoch, int64_t first = 0) {
  Seen s;
  auto e = loader.epoch(epoch, first);
  while (const auto b = e.next()) {
    const auto x = b->images.to_vector<float>();
    const auto y = b->labels.to_vector<int64_t>();
    s.images.insert(s.images.end(), x.begin(), x.end());
    s.labels.insert(s.labels.end(), y.begin(), y.end());
    if (b->other_labels) {
      const auto z = b->other_labels.to_vector<int64_t>();
      s.others.insert(s.others.end(), z.begin(), z.end());
    }
    s.shares.push_back(b->share);
  }
  return s;
}

TEST(Augment, WorkersAndPrefetchChangeNothing) {
  LoaderOptions o = {.batch = 6, .shuffle = true, .seed = 5, .prefetch = 0, .augment = augment_preset("randaugment")};
  o.augment.brightness = o.augment.hue = 0.3;
  o.augment.mixup = o.augment.cutmix = 0.8;
  for (const int64_t channels : {1, 3}) {
    const Dataset d = photos(23, channels);
    const Seen reference = epoch_of(Loader(d, o), 2);
    for (const int workers : {1, 3})
      for (const int prefetch : {1, 4}) {
        LoaderOptions other = o;
        other.workers = workers, other.prefetch = prefetch;
        EXPECT_EQ(epoch_of(Loader(d, other), 2), reference);
      }
    EXPECT_NE(epoch_of(Loader(d, o), 3).images, reference.images);
    const Seen rest = epoch_of(Loader(d, o), 2, 2);
    EXPECT_EQ(rest.images,
              std::vector<float>(reference.images.end() - std::ssize(rest.images), reference.images.end()));
    EXPECT_EQ(rest.shares, std::vector<double>(reference.shares.begin() + 2, reference.shares.end()));
  }
  Dataset floats = photos(4);
  floats.images = floats.images.to(DType::f32);
  EXPECT_ERROR(Loader(floats, o), "only 8-bit images of 1 or 3 channels");
}

// Constant images whose value is their number: what a pixel holds says where it is from.
TEST(Augment, MixUpAndCutMix) {
  constexpr int64_t n = 4, side = 8;
  for (const bool cut : {false, true}) {
    Augment a;
    (cut ? a.cutmix : a.mixup) = 1;
    double shares = 0;
    for (int64_t step = 0; step < 400; ++step) {
      std::vector<float> x;
      for (int64_t i = 0; i < n; ++i) x.insert(x.end(), side * side * 2, static_cast<float>(i));
      Batch b{from(x, {n, side, side, 2}), from(std::vector<int64_t>{5, 6, 7, 8}, {n}), {}};
      mix(b, a, 11, 0, step);
      EXPECT_EQ(b.labels.to_vector<int64_t>(), (std::vector<int64_t>{5, 6, 7, 8}));
      EXPECT_EQ(b.other_labels.to_vector<int64_t>(), (std::vector<int64_t>{8, 5, 6, 7}));
      ASSERT_TRUE(b.share >= 0 && b.share <= 1);
      shares += b.share;
      const auto y = b.images.to_vector<float>();
      for (int64_t i = 0; i < n; ++i) {
        const double mine = static_cast<double>(i), other = static_cast<double>((i + n - 1) % n);
        double sum = 0;
        for (int64_t k = 0; k < side * side * 2; ++k) {
          const double v = y[static_cast<size_t>(i * side * side * 2 + k)];
          sum += v;
          if (cut) { ASSERT_TRUE(v == mine || v == other); }
          if (!cut) { ASSERT_NEAR(v, b.share * mine + (1 - b.share) * other, 1e-5); }
        }
        ASSERT_NEAR(sum / (side * side * 2), b.share * mine + (1 - b.share) * other, 1e-4);
      }
    }
    // A box that the border cuts leaves more; 0.767 is the mean of a million of torchvision's.
    EXPECT_NEAR(shares / 400, cut ? 0.767 : 0.5, cut ? 0.035 : 0.06);
    Batch one{from(std::vector<float>(8), {1, 2, 2, 2}), from(std::vector<int64_t>{1}, {1}), {}};
    mix(one, a, 11, 0, 0);
    EXPECT_FALSE(one.other_labels.defined());
  }
}

}  // namespace
}  // namespace holt::data
