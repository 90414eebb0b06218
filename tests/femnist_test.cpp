// The benchmark `femnist`, on LEAF files that are written here.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "data/benchmark.h"
#include "tests/harness/expect_error.h"
#include "tests/harness/json.h"

namespace holt::data {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using Words = std::vector<std::string>;

class FemnistBenchmark : public testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::temp_directory_path() / format("holt_femnist_test.{}", getpid());
    fs::remove_all(root_);
    fs::create_directories(root_);
  }
  void TearDown() override { fs::remove_all(root_); }

  // White paper, one pixel of ink: its place is `mark`, its level 1 − mark/255.
  static Json image(int mark) {
    Json x = std::vector<double>(784, 1.0);
    x[static_cast<size_t>(mark)] = 1 - mark / 255.0;
    return x;
  }
  // A writer with images of these labels, marked from `mark` on.
  static Json writer(const std::vector<int>& labels, int mark) {
    Json user = {{"x", Json::array()}, {"y", labels}};
    for (size_t i = 0; i < labels.size(); ++i) user["x"].push_back(image(mark + static_cast<int>(i)));
    return user;
  }
  static Json file(const Json& users) {
    Json all = {{"users", Json::array()}, {"num_samples", Json::array()}, {"hierarchies", {{{"x", 1}}}}};
    for (const auto& [name, user] : users.items()) {
      all["users"].push_back(name);
      all["num_samples"].push_back(user.at("y").size());
    }
    all["user_data"] = users;
    return all;
  }
  void write(const std::string& path, const std::string& text) const {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }
  std::unique_ptr<Benchmark> open() const { return open_benchmark("femnist", {.folder = root_.string()}); }
  static std::vector<int64_t> labels(const Dataset& d) {
    return {d.labels.data<int64_t>(), d.labels.data<int64_t>() + d.size()};
  }
  // The marks, from the pixels; every other pixel must be paper.
  static std::vector<int> marks(const Dataset& d) {
    std::vector<int> found;
    for (int64_t i = 0; i < d.size(); ++i)
      for (int64_t p = 0; p < 784; ++p)
        if (const int v = d.images.data<uint8_t>()[i * 784 + p]; v != 0) {
          EXPECT_EQ(v, p) << "image " << i;
          found.push_back(static_cast<int>(p));
        }
    return found;
  }
  fs::path root_;
};

TEST_F(FemnistBenchmark, LeafsOwnSplit) {
  write("train/all_data_0.json", json_text(file({{"w1", writer({0, 10, 36}, 1)}, {"w2", writer({5}, 10)}})));
  write("train/all_data_1.json", json_text(file({{"w3", writer({61, 61}, 20)}}), 2));
  write("test/all_data_0.json", json_text(file({{"w1", writer({10}, 30)}, {"w2", writer({5, 5}, 40)}})));
  write("test/notes.txt", "not read");
  const auto b = open();
  EXPECT_EQ(b->classes().size(), 62u);
  EXPECT_EQ(b->classes()[0] + b->classes()[10] + b->classes()[36] + b->classes()[61], "0Aaz");
  // w1 has three classes, w2 one class and three images; w3 stays, and is the source.
  EXPECT_EQ(b->domains(), (Words{"writers", "w1", "w2"}));
  EXPECT_EQ(b->source(), "writers");
  EXPECT_EQ(b->targets("writers"), (Words{"w1", "w2"}));
  EXPECT_EQ(b->targets("w1"), Words{"w2"});
  EXPECT_EQ(b->image_shape(), (Shape{28, 28, 1}));

  const Dataset w1 = b->load("w1", Part::train, 9);
  validate(w1);
  EXPECT_EQ(w1.images.shape(), (Shape{3, 28, 28, 1}));
  EXPECT_EQ(labels(w1), (std::vector<int64_t>{0, 10, 36}));
  EXPECT_EQ(marks(w1), (std::vector<int>{1, 2, 3}));
  EXPECT_EQ(marks(b->load("w1", Part::test, 0)), std::vector<int>{30});
  EXPECT_EQ(marks(b->load("writers", Part::train, 0)), (std::vector<int>{20, 21}));
  EXPECT_EQ(b->labels("writers", Part::train, 0), (std::vector<int64_t>{61, 61}));
  EXPECT_ERROR(b->load("writers", Part::test, 0), "femnist: writers has no images to test");
  EXPECT_ERROR(b->load("w3", Part::train, 0), "there is no domain 'w3'; known are writers, w1, w2");
}

TEST_F(FemnistBenchmark, OneFolderIsSplitByTheSeed) {
  Json users;
  for (int w = 0; w < 13; ++w) users[format("w{}", 10 + w)] = writer(std::vector<int>(10, w), 1 + 10 * w);
  write("all_data_0.json", json_text(file(users)));
  const auto b = open();
  ASSERT_EQ(b->domains().size(), 11u);  // ten targets; all alike, so by name
  EXPECT_EQ(b->domains()[1], "w10");
  EXPECT_EQ(b->domains()[10], "w19");
  EXPECT_EQ(b->load("writers", Part::train, 0).size(), 21);
  EXPECT_EQ(b->load("writers", Part::test, 0).size(), 9);
  std::set<std::vector<int>> different;
  for (uint64_t seed = 0; seed < 10; ++seed) {
    std::vector<int> both = marks(b->load("w12", Part::train, seed)), test = marks(b->load("w12", Part::test, seed));
    EXPECT_EQ(both.size(), 7u);
    different.insert(test);
    both.insert(both.end(), test.begin(), test.end());
    std::sort(both.begin(), both.end());
    EXPECT_EQ(both, (std::vector<int>{21, 22, 23, 24, 25, 26, 27, 28, 29, 30}));
  }
  EXPECT_GT(different.size(), 5u);
}

TEST_F(FemnistBenchmark, BadFiles) {
  EXPECT_ERROR(open_benchmark("femnist"), "femnist: give the folder");
  EXPECT_ERROR(open_benchmark("femnist", {.folder = "/nowhere"}), "cannot read /nowhere");
  EXPECT_ERROR(open_benchmark("femnist", {.folder = root_.string(), .image_size = 32}), "no other size");
  EXPECT_ERROR(open(), "holds no .json file");
  const Json good = {{"w1", writer({0, 10}, 1)}, {"w2", writer({5}, 10)}};
  const auto with = [&](const std::string& pointer, const Json& value) {
    Json changed = file(good);
    changed[Json::json_pointer(pointer)] = value;
    write("a.json", json_text(changed));
  };
  write("a.json", "");
  EXPECT_ERROR(open(), "a.json: the file is empty");
  const std::string text = json_text(file(good));
  write("a.json", text.substr(0, text.size() / 2));
  EXPECT_ERROR(open(), "a.json: not JSON at byte");
  write("a.json", "{\"users\": [1]}");
  EXPECT_ERROR(open(), "it has no user_data");
  write("a.json", "[1]");
  EXPECT_ERROR(open(), "expected an object, got an array");
  with("/user_data", 3);
  EXPECT_ERROR(open(), "expected user_data to be an object, got a number");
  with("/user_data/w1", Json::array());
  EXPECT_ERROR(open(), "expected a user to be an object with x and y, got an array");
  with("/user_data/w1/x", "none");
  EXPECT_ERROR(open(), "user w1: not LEAF's structure: expected x to be an array, got a string");
  with("/user_data/w1/x/1", 0.5);
  EXPECT_ERROR(open(), "user w1: not LEAF's structure: expected images that are arrays of 784 numbers, got a number");
  with("/user_data/w1/x/1", Json::array({0.5, 0.25}));
  EXPECT_ERROR(open(), "user w1: image 1 has 2 numbers, expected 784");
  with("/user_data/w1/x/1", Json::array());
  EXPECT_ERROR(open(), "has 0 numbers, expected 784");
  with("/user_data/w1/x/1/783", Json::array({1}));
  EXPECT_ERROR(open(), "got an array");
  with("/user_data/w1/x/1/7", 1.5);
  EXPECT_ERROR(open(), "user w1: image 1: the pixel 1.5 is outside 0 … 1");
  with("/user_data/w1/x/1/7", nullptr);
  EXPECT_ERROR(open(), "got null");
  with("/user_data/w1/y/1", 62);
  EXPECT_ERROR(open(), "user w1: label 62 is outside 0 … 61");
  with("/user_data/w1/y/1", -1);
  EXPECT_ERROR(open(), "label -1 is outside 0 … 61");
  with("/user_data/w1/y/1", 0.5);
  EXPECT_ERROR(open(), "label 0.5 is outside 0 … 61");
  with("/user_data/w1/y", Json::array({1}));
  EXPECT_ERROR(open(), "user w1 has 2 images, but 1 labels");
  with("/user_data/w1", {{"x", Json::array()}});
  EXPECT_ERROR(open(), "user w1 has no y");
  with("/user_data/w1/raw", {{"any", {1, {2}, "thing"}}});
  EXPECT_EQ(open()->domains().size(), 2u);  // what is not needed is passed over
  write("b.json", json_text(file({{"w2", writer({1}, 3)}})));
  EXPECT_ERROR(open(), "b.json: user w2 is there already");
  fs::remove(root_ / "b.json");
  write("a.json", json_text(file({{"w2", writer({1}, 3)}})));
  EXPECT_ERROR(open(), "the images of 1 writer, at least 2 are needed");
}

}  // namespace
}  // namespace holt::data
