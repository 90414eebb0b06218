// data/camera.h and the benchmark `fashion`, on a Fashion-MNIST folder that is generated here.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <numbers>

#include "data/benchmark.h"
#include "data/camera.h"
#include "kernels/philox.h"
#include "tests/harness/expect_error.h"
#include "tests/harness/idx_header.h"

namespace holt::data {
namespace {

namespace fs = std::filesystem;

constexpr Camera kStill{.rotation = 0,
                        .rotation_range = 0,
                        .projective = 0,
                        .scale = 1,
                        .blur = 0,
                        .gain = 1,
                        .background = 0,
                        .texture = 0,
                        .noise = 0};

// One image of 9 × 11 with noise in it.
Tensor noise_images(int64_t count, int64_t channels) {
  Tensor t = empty({count, 9, 11, channels}, DType::u8);
  for (int64_t i = 0; i < t.numel(); ++i) t.data<uint8_t>()[i] = static_cast<uint8_t>(philox(3, 1, i).v[0]);
  return t;
}

bool same(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && std::memcmp(a.raw(), b.raw(), a.bytes()) == 0;
}

TEST(Camera, DoingNothingKeepsTheImage) {
  const Tensor images = noise_images(2, 3), out = photograph(kStill, images, {1}, 5);
  ASSERT_EQ(out.shape(), (Shape{1, 9, 11, 3}));
  const int64_t n = out.numel();
  for (int64_t i = 0; i < n; ++i) EXPECT_NEAR(out.data<float>()[i], images.data<uint8_t>()[n + i] / 255.0f, 1e-6f) << i;
}

// A bright dot to the right of the centre goes where the formula puts it.
TEST(Camera, TurnsAndShrinks) {
  Tensor images = empty({1, 101, 101, 1}, DType::u8);
  std::memset(images.raw(), 0, images.bytes());
  for (int64_t y = 47; y <= 53; ++y)
    std::memset(images.data<uint8_t>() + y * 101 + 87, 255, 7);  // around X = 80/101, Y = 0
  Camera camera = kStill;
  camera.rotation = 30, camera.scale = 0.5, camera.projective = 0.1;
  const Tensor out = photograph(camera, images, {0}, 0);
  double mass = 0, x = 0, y = 0;
  for (int64_t i = 0; i < out.numel(); ++i) {
    const double v = out.data<float>()[i];
    mass += v, x += v * static_cast<double>(i % 101), y += v * static_cast<double>(i / 101);
  }
  ASSERT_GT(mass, 0.05);
  x = (2 * x / mass + 1) / 101 - 1, y = (2 * y / mass + 1) / 101 - 1;
  // (80/101, 0)·(1 + 0.1·(x + y)) = R·(x, y)/0.5, solved for where the dot is.
  EXPECT_NEAR(std::hypot(x, y) / 0.5, 80.0 / 101 * (1 + 0.1 * (x + y)), 0.02);
  EXPECT_NEAR(std::atan2(y, x), -30 * std::numbers::pi / 180, 0.02);  // Y is down: counter-clockwise
}

TEST(Camera, GainBackgroundAndNoise) {
  Tensor images = empty({1, 64, 64, 1}, DType::u8);
  const auto stats = [&](int level, const Camera& camera) {
    std::memset(images.raw(), level, images.bytes());
    const Tensor out = photograph(camera, images, {0}, 1);
    double sum = 0, low = 1, high = 0;
    for (int64_t i = 0; i < out.numel(); ++i) {
      const double v = out.data<float>()[i];
      sum += v, low = std::min(low, v), high = std::max(high, v);
    }
    return std::array<double, 3>{sum / static_cast<double>(out.numel()), low, high};
  };
  Camera camera = kStill;
  camera.gain = 0.95;
  EXPECT_NEAR(stats(255, camera)[0], 0.95, 1e-6);
  camera.background = 0.05, camera.texture = 0.05;
  const auto [mean, low, high] = stats(0, camera);
  EXPECT_NEAR(mean, 0.05, 0.005);
  EXPECT_GE(low, 0);
  EXPECT_LE(high, 0.1);
  EXPECT_GT(high - low, 0.08);
  EXPECT_NEAR(stats(255, camera)[0], 0.95, 1e-6);  // what is bright hides the background
  camera = kStill, camera.noise = 0.02;
  const auto [level, least, most] = stats(102, camera);
  EXPECT_NEAR(level, 0.4, 1e-3);
  EXPECT_TRUE(least > 0.3799 && least < 0.381 && most < 0.4201 && most > 0.419) << least << " … " << most;
}

TEST(Camera, BlurIsAGaussian) {
  Tensor images = empty({1, 9, 9, 1}, DType::u8);
  std::memset(images.raw(), 0, images.bytes());
  images.data<uint8_t>()[4 * 9 + 4] = 255;
  Camera camera = kStill;
  camera.blur = 0.6;
  const Tensor out = photograph(camera, images, {0}, 0);
  const auto at = [&](int dy, int dx) { return out.data<float>()[(4 + dy) * 9 + 4 + dx]; };
  EXPECT_NEAR(at(0, 1) / at(0, 0), std::exp(-1 / 0.72), 1e-5);
  EXPECT_NEAR(at(2, 1) / at(0, 0), std::exp(-5 / 0.72), 1e-5);
  EXPECT_EQ(at(0, 3), 0);
}

TEST(Camera, APictureIsAFunctionOfSeedAndImage) {
  const Tensor images = noise_images(5, 1);
  const Tensor all = photograph({}, images, {0, 1, 2, 3, 4}, 7), one = photograph({}, images, {3}, 7);
  EXPECT_TRUE(same(all.narrow(3, 1).clone(), one));
  EXPECT_FALSE(same(photograph({}, images, {3}, 8), one));
  for (int64_t i = 0; i < all.numel(); ++i) {
    EXPECT_GE(all.data<float>()[i], 0);
    EXPECT_LE(all.data<float>()[i], 1);
  }
  EXPECT_ERROR(photograph({}, images, {5}, 7), "position 5 is outside the 5 images");
}

// A Fashion-MNIST folder in which every image carries its own number.
class FashionBenchmark : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = (fs::temp_directory_path() / format("holt_camera_test.{}", getpid())).string();
    fs::create_directories(folder_);
    write_part("train", 60'000);
    write_part("t10k", 8'300);
  }
  static void TearDownTestSuite() { fs::remove_all(folder_); }

  static void write_part(const std::string& part, int n) {
    std::string images(784 * static_cast<size_t>(n), '\0'), labels(static_cast<size_t>(n), '\0');
    for (int i = 0; i < n; ++i) {
      labels[static_cast<size_t>(i)] = static_cast<char>(i % 10);
      std::memcpy(&images[784 * static_cast<size_t>(i)], &i, sizeof i);
    }
    std::ofstream(folder_ + "/" + part + "-images-idx3-ubyte", std::ios::binary)
        << test::idx_header({n, 28, 28}) << images;
    std::ofstream(folder_ + "/" + part + "-labels-idx1-ubyte", std::ios::binary) << test::idx_header({n}) << labels;
  }
  static inline std::string folder_;
};

TEST_F(FashionBenchmark, Parts) {
  const auto b = open_benchmark("fashion", {.folder = folder_});
  EXPECT_EQ(b->domains(), (std::vector<std::string>{"train", "camera"}));
  EXPECT_EQ(b->targets(b->source()), std::vector<std::string>{"camera"});
  EXPECT_EQ(b->image_shape(), (Shape{28, 28, 1}));
  const auto number = [](const Dataset& d, int64_t i) {
    int n;
    std::memcpy(&n, d.images.data<uint8_t>() + 784 * i, sizeof n);
    return n;
  };
  for (const auto& [part, first, count] : {std::tuple{Part::train, 0, 30'000}, {Part::test, 50'000, 10'000}}) {
    const Dataset d = b->load("train", part, 0);
    validate(d);
    ASSERT_EQ(d.size(), count);
    for (const int64_t i : {0, 1, count - 1}) {
      EXPECT_EQ(number(d, i), first + i);
      EXPECT_EQ(d.labels.data<int64_t>()[i], (first + i) % 10);
    }
  }
  const Dataset few = b->load("camera", Part::train, 1), many = b->load("camera", Part::test, 1);
  validate(few), validate(many);
  EXPECT_EQ(few.images.shape(), (Shape{1000, 28, 28, 1}));
  EXPECT_EQ(many.images.shape(), (Shape{3000, 28, 28, 1}));
  // In this file, image i is number i / 10 of class i % 10: the parts are positions 0 … 999 and 5000 … 7999.
  const Tensor test = b->load("camera", Part::test, 1).images;
  EXPECT_TRUE(same(test, many.images));
  EXPECT_FALSE(same(test, b->load("camera", Part::test, 2).images));
  for (int64_t i = 0; i < 3000; ++i) ASSERT_EQ(many.labels.data<int64_t>()[i], i % 10);
}

TEST_F(FashionBenchmark, Errors) {
  EXPECT_ERROR(open_benchmark("fashion", {.image_size = 32}), "fashion: the images are 28 × 28");
  const auto b = open_benchmark("fashion", {.folder = folder_});
  EXPECT_ERROR(b->load("Camera", Part::test, 0), "there is no domain 'Camera'; known are train, camera");
  EXPECT_ERROR(b->targets("nothing"), "there is no domain 'nothing'");
  EXPECT_ERROR(open_benchmark("fashion", {.folder = "/nowhere"})->load("train", Part::train, 0), "apt-get install");
  EXPECT_ERROR(open_benchmark("fasion"), "there is no benchmark 'fasion'; known are");
}

}  // namespace
}  // namespace holt::data
