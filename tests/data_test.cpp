// data/: IDX files, Fashion-MNIST's folder, the loader. The files are generated here in the true format, plain and
// gzip.
#include <gtest/gtest.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <set>
#include <tuple>

#include "data/fashion.h"
#include "data/idx.h"
#include "data/loader.h"

namespace holt::data {
namespace {

namespace fs = std::filesystem;
using Bytes = std::string;

// A folder of its own for each test.
class DataTest : public testing::Test {
 protected:
  DataTest() {
    const auto* info = testing::UnitTest::GetInstance()->current_test_info();
    folder_ = fs::temp_directory_path() / format("holt_data_test.{}.{}", getpid(), info->name());
    fs::create_directories(folder_);
  }
  ~DataTest() override { fs::remove_all(folder_); }

  std::string write(const std::string& name, const Bytes& bytes) {
    const std::string path = (folder_ / name).string();
    std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    return path;
  }

  fs::path folder_;
};

Bytes gzip(const Bytes& plain) {
  z_stream z{};
  EXPECT_EQ(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  Bytes out(deflateBound(&z, plain.size()), '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(plain.data()));
  z.avail_in = static_cast<uInt>(plain.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&z, Z_FINISH), Z_STREAM_END);
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}

Bytes idx(const std::vector<uint32_t>& sizes, const Bytes& elements, uint8_t type = 8) {
  Bytes out{0, 0, static_cast<char>(type), static_cast<char>(sizes.size())};
  for (const uint32_t s : sizes)
    for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(s >> shift & 255);
  return out + elements;
}

// Pixel (y, x) of image i is distinct enough to tell images, rows and columns apart.
uint8_t pixel(int64_t i, int64_t y, int64_t x) { return static_cast<uint8_t>(i * 37 + y * 11 + x * 3 + 1); }
Bytes pixels(int64_t n, int64_t h, int64_t w) {
  Bytes out;
  for (int64_t i = 0; i < n; ++i)
    for (int64_t y = 0; y < h; ++y)
      for (int64_t x = 0; x < w; ++x) out += static_cast<char>(pixel(i, y, x));
  return out;
}
Bytes labels(int64_t n, int classes) {
  Bytes out;
  for (int64_t i = 0; i < n; ++i) out += static_cast<char>(i % classes);
  return out;
}

// The message of the Error that f throws; "" if it throws none.
template <class F>
std::string error_of(F&& f) {
  try {
    f();
  } catch (const Error& e) { return e.message(); }
  return "";
}

#define EXPECT_ERROR(expression, part)                                      \
  do {                                                                      \
    const std::string message = error_of([&] { (void)(expression); });      \
    EXPECT_NE(message.find(part), std::string::npos) << "got: " << message; \
  } while (false)

TEST_F(DataTest, IdxPlainAndGzip) {
  const Bytes file = idx({3, 4, 5}, pixels(3, 4, 5));
  for (const std::string& path : {write("plain", file), write("packed.gz", gzip(file))}) {
    const Tensor t = read_idx(path);
    ASSERT_EQ(t.shape(), (Shape{3, 4, 5}));
    ASSERT_EQ(t.dtype(), DType::u8);
    EXPECT_EQ(t.data<uint8_t>()[(2 * 4 + 3) * 5 + 1], pixel(2, 3, 1));
    const Bytes expected = pixels(3, 4, 5);
    EXPECT_TRUE(std::equal(expected.begin(), expected.end(), reinterpret_cast<const char*>(t.raw())));
  }
}

TEST_F(DataTest, IdxGzipOfSeveralMembers) {
  const Bytes file = idx({3, 4, 5}, pixels(3, 4, 5));
  const Tensor t = read_idx(write("members.gz", gzip(file.substr(0, 21)) + gzip(file.substr(21))));
  EXPECT_EQ(t.data<uint8_t>()[59], pixel(2, 3, 4));
}

TEST_F(DataTest, IdxRanksOneToFour) {
  EXPECT_EQ(read_idx(write("1", idx({7}, labels(7, 7)))).shape(), (Shape{7}));
  EXPECT_EQ(read_idx(write("2", idx({2, 3}, labels(6, 6)))).shape(), (Shape{2, 3}));
  EXPECT_EQ(read_idx(write("4", idx({1, 2, 1, 3}, labels(6, 6)))).shape(), (Shape{1, 2, 1, 3}));
  EXPECT_EQ(read_idx(write("empty", idx({0, 28, 28}, ""))).numel(), 0);
}

// Every way in which a file can be wrong gives one Error that names the file and the fault.
TEST_F(DataTest, IdxEveryCorruption) {
  const Bytes good = idx({3, 4, 5}, pixels(3, 4, 5));
  const auto with = [&](size_t at, int byte) {
    Bytes b = good;
    b[at] = static_cast<char>(byte);
    return b;
  };
  struct Fault {
    const char* name;
    Bytes bytes;
    const char* says;
  };
  const Fault faults[] = {
      {"empty", "", "too short"},
      {"three_bytes", good.substr(0, 3), "too short"},
      {"magic", with(0, 1), "not an IDX file"},
      {"type", with(2, 7), "not an IDX file"},
      {"floats", with(2, 0x0D), "holds floats"},
      {"rank_0", with(3, 0), "0 axes"},
      {"rank_5", with(3, 5), "5 axes"},
      {"header_cut", good.substr(0, 11), "inside the header"},
      {"one_byte_short", good.substr(0, good.size() - 1), "59 of the 60"},
      {"only_header", good.substr(0, 16), "0 of the 60"},
      {"one_byte_more", good + "x", "bytes follow"},
      {"text", "<html>404 not found</html>", "not an IDX file"},
  };
  for (const Fault& f : faults) {
    const std::string plain = write(f.name, f.bytes), packed = write(std::string(f.name) + ".gz", gzip(f.bytes));
    for (const std::string& path : {plain, packed}) {
      EXPECT_ERROR(read_idx(path), path);
      // A plain file too small for its header is caught before anything is read.
      const bool by_size = path == plain && std::string(f.says).find("of the 60") != std::string::npos;
      EXPECT_ERROR(read_idx(path), by_size ? (f.bytes.size() < 60 ? "promises" : f.says) : f.says);
    }
  }
}

TEST_F(DataTest, IdxHostileSizesAskForNoMemory) {
  const std::vector<std::vector<uint32_t>> hostile = {{0xFFFFFFFFu},
                                                      {0xFFFFFFFFu, 0xFFFFFFFFu},
                                                      {0xFFFFFFFFu, 0xFFFFFFFFu, 0xFFFFFFFFu, 0xFFFFFFFFu},
                                                      {0x80000000u, 0x80000000u, 4},  // 2^64: wraps to zero
                                                      {60000, 28, 28}};
  for (const auto& sizes : hostile) {
    EXPECT_ERROR(read_idx(write("plain", idx(sizes, "abc"))), "promises");
    EXPECT_ERROR(read_idx(write("packed.gz", gzip(idx(sizes, "abc")))), "promises");
  }
  EXPECT_EQ(read_idx(write("zero", idx({0xFFFFFFFFu, 0, 0xFFFFFFFFu}, ""))).numel(), 0);
}

TEST_F(DataTest, GzipEveryCorruption) {
  const Bytes packed = gzip(idx({3, 40, 50}, pixels(3, 40, 50)));
  for (size_t cut = 2; cut < packed.size(); cut += std::max<size_t>(1, packed.size() / 60))
    EXPECT_NE(error_of([&] { read_idx(write("cut.gz", packed.substr(0, cut))); }), "") << cut;
  for (size_t cut = packed.size() - 8; cut < packed.size(); ++cut)  // inside the trailer: all elements are there
    EXPECT_ERROR(read_idx(write("cut.gz", packed.substr(0, cut))), "cut short");
  // A flipped bit is found, by the checksum if not before, unless it is one that means nothing (a time stamp, the
  // filling of the last byte): then the elements are what they were.
  int found = 0;
  for (size_t at = 0; at < packed.size(); at += std::max<size_t>(1, packed.size() / 200)) {
    Bytes flipped = packed;
    flipped[at] = static_cast<char>(flipped[at] ^ 0x10);
    const std::string path = write("flipped.gz", flipped);
    Tensor t;
    if (error_of([&] { t = read_idx(path); }) != "")
      ++found;
    else
      EXPECT_EQ(Bytes(static_cast<char*>(t.raw()), t.bytes()), pixels(3, 40, 50)) << at;
  }
  EXPECT_GT(found, 180);
  EXPECT_ERROR(read_idx(write("behind.gz", packed + "junk")), "follow its end");
}

TEST_F(DataTest, IdxUnreadable) {
  EXPECT_ERROR(read_idx((folder_ / "absent").string()), "No such file");
  EXPECT_ERROR(read_idx(folder_.string()), "not a regular file");
}

TEST_F(DataTest, PairChecks) {
  const std::vector<std::string> names = {"a", "b", "c"};
  const std::string images = write("images", idx({6, 4, 5}, pixels(6, 4, 5)));
  const Dataset d = read_idx_pair(images, write("labels", idx({6}, labels(6, 3))), "toy", names);
  EXPECT_EQ(d.images.shape(), (Shape{6, 4, 5, 1}));
  EXPECT_EQ(d.labels.to_vector<int64_t>(), (std::vector<int64_t>{0, 1, 2, 0, 1, 2}));

  EXPECT_ERROR(read_idx_pair(images, write("five", idx({5}, labels(5, 3))), "toy", names), "6 images, but");
  EXPECT_ERROR(read_idx_pair(images, write("range", idx({6}, labels(6, 4))), "toy", names), "label 3 of sample 3");
  EXPECT_ERROR(read_idx_pair(images, images, "toy", names), "expected labels [N]");
  EXPECT_ERROR(read_idx_pair(write("l", idx({6}, labels(6, 3))), images, "toy", names), "expected images [N, H, W]");
  EXPECT_ERROR(read_idx_pair(write("none", idx({0, 4, 5}, "")), write("zero", idx({0}, "")), "toy", names),
               "expected images");
}

TEST_F(DataTest, FashionFolder) {
  EXPECT_ERROR(fashion(Split::train, folder_.string()), "apt-get install dataset-fashion-mnist");
  write("train-images-idx3-ubyte.gz", gzip(idx({20, 28, 28}, pixels(20, 28, 28))));
  EXPECT_ERROR(fashion(Split::train, folder_.string()), "train-labels-idx1-ubyte");
  write("train-labels-idx1-ubyte", idx({20}, labels(20, 10)));  // plain beside gzip
  const Dataset d = fashion(Split::train, folder_.string());
  EXPECT_EQ(d.size(), 20);
  EXPECT_EQ(d.num_classes(), 10);
  EXPECT_EQ(d.classes[9], "Ankle boot");
}

TEST_F(DataTest, FashionAsInstalled) {
  if (!fs::exists(kFashionFolder))
    GTEST_SKIP() << "Fashion-MNIST is not installed: apt-get install dataset-fashion-mnist";
  const Dataset train = fashion(Split::train), test = fashion(Split::test);
  EXPECT_EQ(train.images.shape(), (Shape{60000, 28, 28, 1}));
  EXPECT_EQ(test.images.shape(), (Shape{10000, 28, 28, 1}));
  for (const Dataset* d : {&train, &test}) {
    std::vector<int64_t> count(10);
    for (const int64_t l : d->labels.to_vector<int64_t>()) ++count[l];
    EXPECT_EQ(count, std::vector<int64_t>(10, d->size() / 10));
  }
  // The constants used for normalisation are those of this data.
  const uint8_t* p = train.images.data<uint8_t>();
  double sum = 0, squares = 0;
  for (int64_t i = 0; i < train.images.numel(); ++i) sum += p[i] / 255.0, squares += p[i] / 255.0 * (p[i] / 255.0);
  const double mean = sum / static_cast<double>(train.images.numel());
  EXPECT_NEAR(mean, kFashionMean, 5e-5);
  EXPECT_NEAR(std::sqrt(squares / static_cast<double>(train.images.numel()) - mean * mean), kFashionStd, 5e-5);
}

// ---- The loader.

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

// ---- The thread behind it.

TEST(PrefetchTest, BoundedInOrderAndErrorsTravel) {
  std::atomic<int> made = 0;
  Prefetch<int> p(
      [&]() -> std::optional<int> {
        const int i = made++;
        check(i < 10, "the maker broke at {}", i);
        return i;
      },
      3);
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_LE(made, 4);  // three wait, one is in the maker's hands
  for (int i = 0; i < 10; ++i) EXPECT_EQ(p.next(), i);
  EXPECT_ERROR(p.next(), "the maker broke at 10");
  EXPECT_ERROR(p.next(), "the maker broke at 10");  // and again: it is not lost
}

TEST(PrefetchTest, DestroyedWhileFullEmptyOrBroken) {
  for (int i = 0; i < 100; ++i) {
    Prefetch<int> full([] { return std::optional<int>(1); }, 1);
    Prefetch<int> broken([]() -> std::optional<int> { fail("broken"); }, 1);
    Prefetch<int> ended([]() -> std::optional<int> { return std::nullopt; }, 1);
    if (i % 2) { EXPECT_EQ(full.next(), 1); }
  }
}

}  // namespace
}  // namespace holt::data
