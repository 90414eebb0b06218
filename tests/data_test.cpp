// data/: IDX files, Fashion-MNIST's folder. The files are generated here in the true format, plain and
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
#include "tests/harness/expect_error.h"
#include "tests/harness/idx_header.h"

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

Bytes idx(const std::vector<int64_t>& sizes, const Bytes& elements, uint8_t type = 8) {
  return test::idx_header(sizes, type) + elements;
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
  const std::vector<std::vector<int64_t>> hostile = {{0xFFFFFFFFu},
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
    EXPECT_NE(error_of([&] { read_idx(write("cut.gz", packed.substr(0, cut))); }), kNoError) << cut;
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
    if (error_of([&] { t = read_idx(path); }) != kNoError)
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

}  // namespace
}  // namespace holt::data
