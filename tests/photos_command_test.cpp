// `holt train`, `eval` and `bench loader` on a folder of photographs, as a person uses them.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "data/jpeg.h"
#include "kernels/error.h"
#include "kernels/file.h"
#include "tests/harness/expect_text.h"
#include "tests/harness/json.h"
#include "tests/harness/program.h"

namespace holt {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

class PhotosTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    setenv("OMP_NUM_THREADS", "1", 1);  // for the programs: other tests run beside this one
    folder_ = fs::temp_directory_path() / format("holt_photos_test.{}", getpid());
    for (const auto& [part, count] : {std::pair{"train", 12}, {"val", 6}})
      for (int i = 0; i < count; ++i) {
        const bool red = i % 2;
        const fs::path path = folder_ / "photos" / part / (red ? "red" : "blue") / format("{}.jpg", i);
        fs::create_directories(path.parent_path());
        data::Image image{30, 40, 3, {}};
        for (int k = 0; k < 30 * 40 * 3; ++k)
          image.pixels.push_back(static_cast<uint8_t>((k % 3 == (red ? 0 : 2) ? 190 : 40) + (k / 3 + i) % 40));
        write_atomically(path.string(), data::jpeg_bytes(image));
      }
  }
  static void TearDownTestSuite() { fs::remove_all(folder_); }

  static test::Result holt(std::vector<std::string> arguments) { return test::holt_run(arguments); }
  static std::vector<std::string> training(const std::string& out, std::vector<std::string> more) {
    std::vector<std::string> all = {
        "train",   "--data", "folder", "--data-dir", photos(), "--image-size",          "32", "--model", "resnet8",
        "--batch", "4",      "--lr",   "0.05",       "--out",  (folder_ / out).string()};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  static std::string photos() { return (folder_ / "photos").string(); }
  static std::string bytes_of(const fs::path& path) { return read_file(path.string()); }

  static inline fs::path folder_;
};

TEST_F(PhotosTest, TrainsTheSameWhateverTheWorkersAndEvaluates) {
  const std::vector<std::string> augmented = {"--augment", "randaugment", "--mixup", "0.2",      "--cutmix",
                                              "1",         "--epochs",    "2",       "--workers"};
  for (const char* workers : {"1", "3"}) {
    auto arguments = augmented;
    arguments.push_back(workers);
    const test::Result r = holt(training(std::string("mixed") + workers, arguments));
    ASSERT_EQ(r.code, 0) << r.err;
    EXPECT_HAS(r.out, "12 images of 32×32×3 in 2 classes, 6 to test");
  }
  EXPECT_EQ(bytes_of(folder_ / "mixed1/model.safetensors"), bytes_of(folder_ / "mixed3/model.safetensors"));

  ASSERT_EQ(holt(training("plain", {"--augment", "light", "--epochs", "6"})).code, 0);
  const test::Result e =
      holt({"eval", "--model", (folder_ / "plain").string(), "--data", "folder", "--data-dir", photos(), "--json"});
  ASSERT_EQ(e.code, 0) << e.err;
  const Json json = parse_json(e.out);
  EXPECT_EQ(json["samples"], 6);
  EXPECT_EQ(json["accuracy"], 1.0) << json_text(json);
  EXPECT_TRUE(json["classes"].contains("red"));
}

TEST_F(PhotosTest, BrokenFilesAreAnErrorOrLeftOut) {
  const fs::path broken = folder_ / "photos/train/red/broken.jpg";
  write_atomically(broken.string(), "no image");
  const test::Result stops = holt(training("stops", {"--epochs", "1"}));
  EXPECT_EQ(stops.code, 1);
  EXPECT_HAS(stops.err, "red/broken.jpg: no image format that is known");
  EXPECT_HAS(stops.err, "--skip-corrupt");
  const test::Result goes_on = holt(training("goes_on", {"--epochs", "1", "--skip-corrupt"}));
  EXPECT_EQ(goes_on.code, 0) << goes_on.err;
  EXPECT_HAS(goes_on.out + goes_on.err,
             "1 of the 13 images of " + photos() + "/train cannot be read and were left out:");
  fs::remove(broken);
  const std::string out = (folder_ / "none").string();
  EXPECT_HAS(holt({"train", "--data", "folder", "--out", out}).err, "--data-dir");
  EXPECT_HAS(holt({"train", "--augment", "heavy", "--out", out}).err, "imagenet");
  EXPECT_HAS(holt({"train", "--image-size", "32", "--out", out}).err, "--image-size is for --data folder");
}

TEST_F(PhotosTest, BenchLoader) {
  const std::string json = (folder_ / "loader.json").string();
  const test::Result r = holt({"bench", "loader", "--data-dir", photos() + "/train", "--images", "16", "--batch", "4",
                               "--image-size", "32", "--json", json});
  ASSERT_EQ(r.code, 0) << r.err;
  const Json j = parse_json(bytes_of(json));
  double sum = 0;
  for (const char* stage : {"read", "decode", "crop and resize", "augment", "normalise"}) {
    EXPECT_GT(j["milliseconds"][stage].get<double>(), 0) << stage;
    sum += j["milliseconds"][stage].get<double>();
    EXPECT_HAS(r.out, stage);
  }
  EXPECT_NEAR(j["milliseconds"]["together"].get<double>(), sum, 1e-9);
  EXPECT_GT(j["loader"][0]["images_per_second"].get<double>(), 0);
}

}  // namespace
}  // namespace holt
