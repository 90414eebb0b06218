// The benchmark `cifar`, on binary files that are written here.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "data/benchmark.h"
#include "tests/harness/expect_error.h"

namespace holt::data {
namespace {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

class CifarBenchmark : public testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::temp_directory_path() / format("holt_cifar_test.{}", getpid());
    fs::remove_all(root_);
    std::string ten, hundred;
    for (int k = 0; k < 10; ++k) ten += format("ten{}\n", k);
    for (int k = 0; k < 100; ++k) hundred += format("fine{}\r\n", k);
    write("ten/batches.meta.txt", ten + "\n");
    for (int b = 1; b <= 5; ++b) write(format("ten/data_batch_{}.bin", b), records(20, 1, 10, b));
    write("ten/test_batch.bin", records(80, 1, 10, 9));
    write("hundred/cifar-100-binary/fine_label_names.txt", hundred);
    write("hundred/cifar-100-binary/train.bin", records(200, 2, 100, 1));
    write("hundred/cifar-100-binary/test.bin", records(400, 2, 100, 9));
  }
  void TearDown() override { fs::remove_all(root_); }

  // Image i: class i modulo `classes`; red its number, green the file's, blue the column.
  static std::string records(int count, int label_bytes, int classes, int file) {
    std::string out;
    for (int i = 0; i < count; ++i) {
      if (label_bytes == 2) out += static_cast<char>(i % 20);
      out += static_cast<char>(i % classes);
      out += std::string(1024, static_cast<char>(i)) + std::string(1024, static_cast<char>(file));
      for (int p = 0; p < 1024; ++p) out += static_cast<char>(p % 32);
    }
    return out;
  }
  void write(const std::string& path, const std::string& bytes) const {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path, std::ios::binary) << bytes;
  }
  std::unique_ptr<Benchmark> open(const std::string& folder) const {
    return open_benchmark("cifar", {.folder = (root_ / folder).string()});
  }
  fs::path root_;
};

TEST_F(CifarBenchmark, Ten) {
  const auto b = open("ten");
  EXPECT_EQ(b->classes().front(), "ten0");
  EXPECT_EQ(b->domains(), (Words{"photos", "camera"}));
  EXPECT_EQ(b->targets("photos"), Words{"camera"});
  const Dataset train = b->load("photos", Part::train, 0);
  validate(train);
  ASSERT_EQ(train.images.shape(), (Shape{100, 32, 32, 3}));
  for (const int64_t i : {0, 19, 20, 99})
    for (const int64_t p : {0, 33, 1023}) {
      const uint8_t* rgb = train.images.data<uint8_t>() + (i * 1024 + p) * 3;
      EXPECT_EQ(rgb[0], i % 20);
      EXPECT_EQ(rgb[1], i / 20 + 1);
      EXPECT_EQ(rgb[2], p % 32);
      EXPECT_EQ(train.labels.data<int64_t>()[i], i % 10);
    }
  const Dataset test = b->load("photos", Part::test, 0);
  ASSERT_EQ(test.size(), 40);  // image i is number i / 10 of its class: the first four of eight
  for (int64_t i = 0; i < 40; ++i) EXPECT_EQ(test.images.data<uint8_t>()[i * 3072], i);
}

TEST_F(CifarBenchmark, TheCamerasImagesAreNobodyElses) {
  const auto b = open("ten");
  const Dataset train = b->load("camera", Part::train, 1), test = b->load("camera", Part::test, 1);
  validate(train), validate(test);
  ASSERT_EQ(train.size(), 20);
  ASSERT_EQ(test.size(), 20);
  EXPECT_EQ(train.images.dtype(), DType::f32);
  const auto red = [](const Dataset& d, int64_t i) {
    return 255 * d.images.data<float>()[(i * 1024 + 16 * 32 + 16) * 3];
  };
  for (int64_t i = 0; i < 20; ++i) {  // red tells the number: 0.95 of it, and background and noise
    EXPECT_NEAR(red(train, i), 40 + static_cast<double>(i), 21);
    EXPECT_NEAR(red(test, i), 60 + static_cast<double>(i), 21);
    EXPECT_EQ(train.labels.data<int64_t>()[i], i % 10);
  }
  const Tensor again = b->load("camera", Part::train, 1).images, other = b->load("camera", Part::train, 2).images;
  EXPECT_EQ(std::memcmp(again.raw(), train.images.raw(), again.bytes()), 0);
  EXPECT_NE(std::memcmp(other.raw(), train.images.raw(), again.bytes()), 0);
}

TEST_F(CifarBenchmark, Hundred) {
  const auto b = open("hundred");
  EXPECT_EQ(b->classes().size(), 100u);
  EXPECT_EQ(b->classes().back(), "fine99");
  const Dataset train = b->load("photos", Part::train, 0);
  ASSERT_EQ(train.size(), 200);
  EXPECT_EQ(train.labels.data<int64_t>()[163], 63);
  EXPECT_EQ(train.images.data<uint8_t>()[163 * 3072], 163);
  EXPECT_EQ(b->load("camera", Part::test, 0).size(), 100);
}

TEST_F(CifarBenchmark, Errors) {
  EXPECT_ERROR(open_benchmark("cifar"), "cifar: give the folder");
  EXPECT_ERROR(open_benchmark("cifar", {.folder = root_.string(), .image_size = 16}), "no other size");
  EXPECT_ERROR(open("nothing"), "holds neither test_batch.bin");
  EXPECT_ERROR(open("ten")->load("photo", Part::test, 0), "known are photos, camera");
  const std::string good = records(80, 1, 10, 9);
  write("ten/test_batch.bin", good.substr(0, good.size() - 1));
  EXPECT_ERROR(open("ten")->load("camera", Part::test, 0),
               "test_batch.bin: 245839 bytes are no whole number of records");
  write("ten/test_batch.bin", "");
  EXPECT_ERROR(open("ten")->load("camera", Part::test, 0), "test_batch.bin: 0 bytes");
  std::string bad = good;
  bad[3073 * 7] = 10;
  write("ten/test_batch.bin", bad);
  EXPECT_ERROR(open("ten")->load("camera", Part::test, 0), "test_batch.bin: label 10 of image 7 is outside 0 … 9");
  write("ten/test_batch.bin", records(30, 1, 10, 9));
  EXPECT_ERROR(open("ten")->load("camera", Part::test, 0), "holds 3 images of 'ten0', at least 4");
  fs::remove(root_ / "ten/data_batch_3.bin");
  EXPECT_ERROR(open("ten")->load("photos", Part::train, 0), "data_batch_3.bin");
  write("ten/batches.meta.txt", "cat\ndog\n");
  EXPECT_ERROR(open("ten"), "batches.meta.txt: expected 10 names of classes, got 2");
  write("hundred/cifar-10-batches-bin/test_batch.bin", good);
  EXPECT_ERROR(open("hundred"), "give one of them");
}

}  // namespace
}  // namespace holt::data
