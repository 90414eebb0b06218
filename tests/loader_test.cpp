// The loader: a pure function of (epoch, step), whatever the prefetch thread does.
#include "data/loader.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <numeric>
#include <set>
#include <thread>
#include <tuple>

#include "tests/harness/expect_error.h"

namespace holt::data {
namespace {

Dataset toy(int64_t n, int64_t h = 6, int64_t w = 5, int64_t c = 2) {
  std::vector<uint8_t> values(n * h * w * c);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<uint8_t>(1 + i % 251);
  std::vector<int64_t> label(n);
  for (int64_t i = 0; i < n; ++i) label[i] = i % 3;
  return {"toy", from(values, {n, h, w, c}), from(label, {n}), {"a", "b", "c"}};
}

struct Record {
  std::vector<float> images;
  std::vector<int64_t> labels, samples;
  std::vector<int64_t> sizes;
  friend bool operator==(const Record&, const Record&) = default;
};

Record collect(const Loader& loader, int64_t epoch, int64_t first = 0) {
  Record r;
  auto e = loader.epoch(epoch, first);
  while (auto b = e.next()) {
    const auto x = b->images.to_vector<float>();
    const auto y = b->labels.to_vector<int64_t>();
    r.images.insert(r.images.end(), x.begin(), x.end());
    r.labels.insert(r.labels.end(), y.begin(), y.end());
    r.samples.insert(r.samples.end(), b->samples.begin(), b->samples.end());
    r.sizes.push_back(b->images.size(0));
  }
  EXPECT_FALSE(e.next().has_value());  // the end stays the end
  return r;
}

LoaderOptions shuffled(int64_t batch, int prefetch = 2) {
  return {.batch = batch,
          .shuffle = true,
          .seed = 7,
          .prefetch = prefetch,
          .augment = {.pad = 2, .flip = true},
          .normalize = {{0.25f, 0.5f}, {0.5f, 0.25f}}};
}

TEST(LoaderTest, PlainOrderValuesAndLastBatch) {
  const Dataset d = toy(10);
  const Record r = collect(Loader(d, {.batch = 4, .normalize = {{0.25f, 0.5f}, {0.5f, 0.25f}}}), 3);
  EXPECT_EQ(r.sizes, (std::vector<int64_t>{4, 4, 2}));
  std::vector<int64_t> in_order(10);
  std::iota(in_order.begin(), in_order.end(), int64_t{0});
  EXPECT_EQ(r.samples, in_order);
  EXPECT_EQ(r.labels, d.labels.to_vector<int64_t>());
  const uint8_t* p = d.images.data<uint8_t>();
  ASSERT_EQ(r.images.size(), static_cast<size_t>(d.images.numel()));
  for (size_t i = 0; i < r.images.size(); ++i) {
    const double mean = i % 2 ? 0.5 : 0.25, std = i % 2 ? 0.25 : 0.5;
    ASSERT_NEAR(r.images[i], (p[i] / 255.0 - mean) / std, 1e-6) << i;
  }
  const Loader dropping(d, {.batch = 4, .drop_last = true});
  EXPECT_EQ(dropping.batches(), 2);
  EXPECT_EQ(collect(dropping, 0).sizes, (std::vector<int64_t>{4, 4}));
}

TEST(LoaderTest, FloatImagesAreNotScaled) {
  Dataset d = toy(2);
  d.images = from(std::vector<float>(120, 3.0f), {2, 6, 5, 2});
  for (const float x : collect(Loader(d, {.batch = 2, .normalize = {{1, 1}, {4, 4}}}), 0).images) ASSERT_EQ(x, 0.5f);
}

TEST(LoaderTest, ShufflingVisitsEachSampleOnceAndDiffersByEpochAndSeed) {
  const std::vector<int64_t> a = epoch_order(1000, 1, 0);
  EXPECT_EQ(std::set<int64_t>(a.begin(), a.end()).size(), 1000u);
  EXPECT_EQ(*std::min_element(a.begin(), a.end()), 0);
  EXPECT_EQ(*std::max_element(a.begin(), a.end()), 999);
  EXPECT_EQ(a, epoch_order(1000, 1, 0));
  EXPECT_NE(a, epoch_order(1000, 1, 1));
  EXPECT_NE(a, epoch_order(1000, 2, 0));
  // Uniform: over many epochs each of 5 samples comes first about equally often (σ ≈ 40 of 2000).
  std::vector<int> count(5);
  for (int64_t e = 0; e < 10000; ++e) ++count[epoch_order(5, 3, e)[0]];
  for (const int c : count) EXPECT_NEAR(c, 2000, 200);
}

TEST(LoaderTest, TheSameWithAnyPrefetchAndOnEveryRun) {
  const Dataset d = toy(53);
  const Record reference = collect(Loader(d, shuffled(8, 0)), 4);
  EXPECT_EQ(reference.samples, epoch_order(53, 7, 4));
  for (const int prefetch : {0, 1, 2, 16})
    for (int run = 0; run < 3; ++run) EXPECT_EQ(collect(Loader(d, shuffled(8, prefetch)), 4), reference) << prefetch;
}

TEST(LoaderTest, ContinuesInTheMiddle) {
  const Loader loader(toy(53), shuffled(8));
  const Record whole = collect(loader, 2), rest = collect(loader, 2, 3);
  EXPECT_EQ(rest.samples, std::vector<int64_t>(whole.samples.begin() + 24, whole.samples.end()));
  EXPECT_EQ(rest.images, std::vector<float>(whole.images.begin() + 24 * 60, whole.images.end()));
  EXPECT_TRUE(collect(loader, 2, loader.batches()).samples.empty());
}

// A sample's augmentation depends on (seed, epoch, sample) only, not on the batch it falls in; it is one of the
// (2·pad + 1)² shifts, flipped or not, with zeros outside; over the epochs all of them come up.
TEST(LoaderTest, AugmentationIsAShiftAndAFlip) {
  constexpr int64_t h = 6, w = 5, c = 2, pad = 2;
  const Dataset d = toy(9, h, w, c);
  const LoaderOptions small = {.batch = 1, .augment = {.pad = pad, .flip = true}};
  LoaderOptions large = small;
  large.batch = 9;
  std::set<std::tuple<int, int, int>> seen;
  for (int64_t epoch = 0; epoch < 60; ++epoch) {
    const Record r = collect(Loader(d, small), epoch);
    ASSERT_EQ(r.images, collect(Loader(d, large), epoch).images);
    for (int64_t n = 0; n < 9; ++n) {
      int matches = 0;
      for (int dy = -pad; dy <= pad; ++dy)
        for (int dx = -pad; dx <= pad; ++dx)
          for (int flip = 0; flip < 2; ++flip) {
            bool same = true;
            for (int64_t y = 0; y < h && same; ++y)
              for (int64_t x = 0; x < w && same; ++x)
                for (int64_t k = 0; k < c && same; ++k) {
                  const int64_t sy = y + dy, sx = (flip ? w - 1 - x : x) + dx;
                  const bool inside = sy >= 0 && sy < h && sx >= 0 && sx < w;
                  const double expected =
                      inside ? d.images.data<uint8_t>()[((n * h + sy) * w + sx) * c + k] / 255.0 : 0.0;
                  same = std::abs(r.images[((n * h + y) * w + x) * c + k] - expected) < 1e-6;
                }
            if (same) ++matches, seen.insert({dy, dx, flip});
          }
      ASSERT_EQ(matches, 1) << "epoch " << epoch << ", sample " << n;
    }
  }
  EXPECT_EQ(seen.size(), 50u);
}

TEST(LoaderTest, StopsInTheMiddleCleanly) {
  const Loader loader(toy(200), shuffled(4, 3));
  for (int i = 0; i < 50; ++i) {
    auto e = loader.epoch(i);
    for (int k = 0; k < i % 5; ++k) ASSERT_TRUE(e.next());
  }
}

TEST(LoaderTest, RefusesBadOptions) {
  const Dataset d = toy(5);
  EXPECT_ERROR(Loader(d, {.batch = 0}), "batch must be at least 1, got 0");
  EXPECT_ERROR(Loader(d, {.batch = 6, .drop_last = true}), "fewer than one batch");
  EXPECT_ERROR(Loader(d, {.prefetch = -1}), "prefetch");
  EXPECT_ERROR(Loader(d, {.augment = {.pad = 5}}), "pad must be in 0 … 4");
  EXPECT_ERROR(Loader(d, {.normalize = {{0.5f}, {}}}), "each of 2 channels, got 1");
  EXPECT_ERROR(Loader(d, {.normalize = {{}, {1, 0}}}), "std must be positive");
  EXPECT_ERROR(Loader(d, {}).epoch(0, 2), "does not exist");
  EXPECT_ERROR(first(d, 0), "at least 1");
  Dataset wrong = d;
  wrong.labels = from(std::vector<int64_t>{0, 1, 3, 0, 1}, {5});
  EXPECT_ERROR(Loader(wrong, {}), "label 3 of sample 2 is outside 0 … 2");
  wrong.labels = from(std::vector<int64_t>{0, 1}, {2});
  EXPECT_ERROR(Loader(wrong, {}), "5 images, but 2 labels");
}

// ---- The threads behind it.

// Things are numbers; each has three pieces, which add it up.
Assembly<std::vector<int64_t>> sums(std::function<void(int64_t, int64_t)> before = [](int64_t, int64_t) {}) {
  return {[](int64_t n) {
            return std::vector<int64_t>{n, 0, 0, 0};
          },
          [](const auto&) { return int64_t{3}; },
          [before](std::vector<int64_t>& v, int64_t piece) {
            before(v[0], piece);
            v[static_cast<size_t>(piece + 1)] = v[0] * (piece + 1);
          },
          [](std::vector<int64_t>& v, int64_t n) { v.push_back(n); }};
}

TEST(WorkersTest, InOrderWhateverTheirNumber) {
  for (const int threads : {1, 2, 5})
    for (const int64_t depth : {1, 4}) {
      const auto slowly = [](int64_t n, int64_t piece) {
        std::this_thread::sleep_for(std::chrono::microseconds((n * 7 + piece * 3) % 5 * 20));
      };
      Workers<std::vector<int64_t>> w(sums(slowly), 2, 30, threads, depth);
      for (int64_t n = 2; n < 30; ++n) EXPECT_EQ(w.next(), (std::vector<int64_t>{n, n, 2 * n, 3 * n, n}));
      EXPECT_FALSE(w.next());
      EXPECT_FALSE(w.next());
    }
}

TEST(WorkersTest, NoMoreThanAskedForIsMadeAhead) {
  std::atomic<int64_t> most = 0;
  Workers<std::vector<int64_t>> w(sums([&](int64_t n, int64_t) { most = std::max(most.load(), n); }), 0, 100, 3, 4);
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_EQ(most, 3);
  EXPECT_EQ(w.next()->front(), 0);
}

TEST(WorkersTest, FaultsComeInTheirPlaceAndStay) {
  for (const int threads : {1, 4}) {
    Workers<std::vector<int64_t>> w(sums([](int64_t n, int64_t piece) {
                                      if (piece == 1) std::this_thread::sleep_for(std::chrono::milliseconds(5));
                                      check(n != 7 || piece == 0, "piece {} of thing {} broke", piece, n);
                                    }),
                                    0, 20, threads, 4);
    for (int64_t n = 0; n < 7; ++n) EXPECT_EQ(w.next()->front(), n);
    EXPECT_ERROR(w.next(), "piece 1 of thing 7 broke");  // not piece 2's, though that came first
    EXPECT_ERROR(w.next(), "piece 1 of thing 7 broke");
  }
  auto unable = sums();
  unable.begin = [](int64_t n) -> std::vector<int64_t> {
    check(n < 2, "thing {} cannot be begun", n);
    return {n, 0, 0, 0};
  };
  Workers<std::vector<int64_t>> w(unable, 0, 20, 2, 4);
  EXPECT_TRUE(w.next());
  EXPECT_TRUE(w.next());
  EXPECT_ERROR(w.next(), "thing 2 cannot be begun");
  auto unfinished = sums();
  unfinished.finish = [](std::vector<int64_t>&, int64_t n) { fail("thing {} cannot be finished", n); };
  EXPECT_ERROR(Workers<std::vector<int64_t>>(unfinished, 5, 6, 2, 4).next(), "thing 5 cannot be finished");
}

TEST(WorkersTest, DestroyedWhileFullEmptyOrBroken) {
  for (int i = 0; i < 100; ++i) {
    Workers<std::vector<int64_t>> full(sums(), 0, 1000, 2, 3);
    Workers<std::vector<int64_t>> broken(sums([](int64_t, int64_t) { fail("broken"); }), 0, 10, 2, 3);
    Workers<std::vector<int64_t>> empty(sums(), 0, 0, 2, 3);
    if (i % 2) { EXPECT_EQ(full.next()->front(), 0); }
    if (i % 3 == 0) { EXPECT_ERROR(broken.next(), "broken"); }
  }
}

}  // namespace
}  // namespace holt::data
