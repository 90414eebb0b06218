// The benchmark `folder`: trees and lists, written here with JPEG and PNG files.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include "data/benchmark.h"
#include "data/image_files.h"
#include "tests/harness/expect_error.h"
#include "tests/harness/jpeg_writer.h"

namespace holt::data {
namespace {

namespace fs = std::filesystem;

class FolderBenchmark : public testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::temp_directory_path() / format("holt_folder_test.{}", getpid());
    fs::remove_all(root_);
    fs::create_directories(root_);
  }
  void TearDown() override { fs::remove_all(root_); }

  // One grey level all over: it survives JPEG, resizing and cropping.
  static std::string picture(int level, bool png) {
    const Image image{20, 30, 3, std::vector<uint8_t>(1800, static_cast<uint8_t>(level))};
    return png ? encode_png(image) : test::encode_jpeg(image);
  }
  void write(const std::string& path, const std::string& bytes) const {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path, std::ios::binary) << bytes;
  }
  // Images 0 … count−1 of a class, each with a level of its own.
  void write_class(const std::string& folder, int count, int level) const {
    for (int i = 0; i < count; ++i)
      write(format("{}/{}.{}", folder, i, i % 2 ? "PNG" : "jpg"), picture(level + i, i % 2));
  }
  // Two domains of the classes cup (10 images) and pen (4); Art has a class of its own, with one image.
  void write_tree() const {
    for (const auto& [domain, level] : {std::pair{"Art", 0}, {"Clip", 100}}) {
      write_class(format("{}/pen", domain), 4, level + 20);
      write_class(format("{}/cup", domain), 10, level);
    }
    write_class("Art/only", 1, 50);
  }
  std::unique_ptr<Benchmark> open(int64_t size = 16, bool skip = false) const {
    return open_benchmark("folder", {.folder = root_.string(), .image_size = size, .skip_corrupt = skip});
  }
  // The level of each image, by label.
  static std::map<int64_t, std::multiset<int>> levels(const Dataset& d) {
    std::map<int64_t, std::multiset<int>> out;
    const int64_t bytes = d.images.numel() / d.size();
    for (int64_t i = 0; i < d.size(); ++i)
      out[d.labels.data<int64_t>()[i]].insert(d.images.data<uint8_t>()[i * bytes + bytes / 2]);
    return out;
  }
  fs::path root_;
};

using Words = std::vector<std::string>;

TEST_F(FolderBenchmark, Tree) {
  write_tree();
  write("Art/cup/.hidden.jpg", "x");
  write("Art/cup/notes.txt", "x");
  write("README.md", "x");
  fs::create_directories(root_ / ".git/x");
  fs::create_directory_symlink(root_ / "Clip", root_ / "Linked");
  const auto b = open();
  EXPECT_EQ(b->classes(), (Words{"cup", "only", "pen"}));
  EXPECT_EQ(b->domains(), (Words{"Art", "Clip", "Linked"}));
  EXPECT_EQ(b->source(), "Art");
  EXPECT_EQ(b->targets("Clip"), (Words{"Art", "Linked"}));
  EXPECT_EQ(b->image_shape(), (Shape{16, 16, 3}));
  EXPECT_EQ(open(0)->image_shape(), (Shape{224, 224, 3}));
  EXPECT_EQ(b->normalize().mean, kImageNetMean);

  const Dataset train = b->load("Art", Part::train, 3), test = b->load("Art", Part::test, 3);
  EXPECT_EQ(train.images.shape(), (Shape{11, 16, 16, 3}));
  EXPECT_EQ(test.size(), 4);
  const auto in_train = levels(train), in_test = levels(test);
  EXPECT_EQ(in_train.at(0).size(), 7u);  // 70 % of 10
  EXPECT_EQ(in_test.at(0).size(), 3u);
  EXPECT_EQ(in_train.at(1), (std::multiset<int>{50}));  // a single image trains
  EXPECT_EQ(in_train.at(2).size(), 3u);
  std::multiset<int> cups = in_train.at(0);
  cups.merge(std::multiset<int>(in_test.at(0)));
  EXPECT_EQ(cups, (std::multiset<int>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));  // every image once
}

TEST_F(FolderBenchmark, TheSplitIsAFunctionOfTheSeed) {
  write_tree();
  const auto labels_and_levels = [&](uint64_t seed) { return levels(open()->load("Art", Part::test, seed)); };
  EXPECT_EQ(labels_and_levels(1), labels_and_levels(1));
  std::set<std::map<int64_t, std::multiset<int>>> different;
  for (uint64_t seed = 0; seed < 10; ++seed) different.insert(labels_and_levels(seed));
  EXPECT_GT(different.size(), 5u);
  const auto before = labels_and_levels(1);
  write_class("Also/cup", 5, 200);  // another domain changes nothing here
  EXPECT_EQ(labels_and_levels(1), before);
}

TEST_F(FolderBenchmark, TrainAndTestFolders) {
  write_class("Art/train/cup", 2, 10);
  write_class("Art/test/cup", 3, 20);
  write_class("Art/test/pen", 1, 30);
  const auto b = open();
  EXPECT_EQ(b->domains(), Words{"Art"});
  EXPECT_EQ(levels(b->load("Art", Part::train, 0)), (std::map<int64_t, std::multiset<int>>{{0, {10, 11}}}));
  EXPECT_EQ(levels(b->load("Art", Part::test, 7)),
            (std::map<int64_t, std::multiset<int>>{{0, {20, 21, 22}}, {1, {30}}}));
}

TEST_F(FolderBenchmark, Lists) {
  write_tree();
  write("art_train.txt", "Art/cup/0.jpg 0\r\n\r\nArt/pen/1.PNG\t1\r\n");
  write("art_test.txt",
        "\xEF\xBB\xBF"
        "Art/cup/2.jpg 0\n");
  write("clip.txt", "Clip/cup/0.jpg 0\nClip/cup/1.PNG 0\nClip/cup/2.jpg 0\nClip/pen/0.jpg 1\n");
  write("README.txt", "Office-Home, see the paper\n");
  const auto b = open();
  EXPECT_EQ(b->domains(), (Words{"art", "clip"}));
  EXPECT_EQ(b->classes(), (Words{"cup", "pen"}));
  EXPECT_EQ(levels(b->load("art", Part::train, 0)), (std::map<int64_t, std::multiset<int>>{{0, {0}}, {1, {21}}}));
  EXPECT_EQ(levels(b->load("art", Part::test, 0)), (std::map<int64_t, std::multiset<int>>{{0, {2}}}));
  EXPECT_EQ(b->load("clip", Part::train, 0).size(), 3);
  EXPECT_EQ(b->load("clip", Part::test, 0).size(), 1);

  write("classes.txt", "a mug\na pen\n");
  EXPECT_EQ(open()->classes(), (Words{"a mug", "a pen"}));
  fs::remove(root_ / "classes.txt");
  write("clip.txt", "Art/cup/1.PNG 0\nArt/cup/2.jpg 1\n");  // folders that do not tell the classes apart
  EXPECT_EQ(open()->classes(), (Words{"0", "1"}));
}

TEST_F(FolderBenchmark, BadLists) {
  write_tree();
  write("art.txt", "Art/cup/0.jpg 0\nArt/pen/0.jpg 1\nArt/cup/1.PNG\n");
  EXPECT_ERROR(open(), "art.txt: line 3: expected 'path label', got 'Art/cup/1.PNG'");
  write("art.txt", "Art/cup/0.jpg 0\nArt/pen/0.jpg -1\n");
  EXPECT_ERROR(open(), "art.txt: line 2: label -1 is outside 0 …");
  write("art.txt", "Art/cup/0.jpg 0\nArt/pen/0.jpg 1.5\n");
  EXPECT_ERROR(open(), "art.txt: line 2: expected 'path label'");
  write("art.txt", "Art/cup/0.jpg 0\nArt/pen/0.jpg 99999999999999999999\n");
  EXPECT_ERROR(open(), "art.txt: line 2: expected 'path label'");
  write("art.txt", "Art/cup/0.jpg 1\nArt/pen/0.jpg 2\n");
  EXPECT_ERROR(open(), "no list has an image with label 0; labels count from 0");
  write("classes.txt", "cup\npen\n");
  EXPECT_ERROR(open(), "art.txt: line 2: label 2 is outside 0 … 1");
  write("classes.txt", "cup\npen\nhat\nshoe\n");
  EXPECT_ERROR(open(), "class 0 ('cup') of classes.txt has no image");
  fs::remove(root_ / "classes.txt");
  fs::remove(root_ / "art.txt");
  write("art_test.txt", "Art/cup/0.jpg 0\nArt/cup/none.jpg 0\nArt/pen/0.jpg 1\n");
  EXPECT_ERROR(open(), "art_test.txt is there, but art_train.txt is not");
  write("art_train.txt", "Art/cup/1.PNG 0\n");
  EXPECT_ERROR(open()->load("art", Part::test, 0), "1 of 3 image files do not exist:\n  art_test.txt:2: ");
}

TEST_F(FolderBenchmark, CorruptImages) {
  write_class("Art/cup", 20, 10);
  fs::create_directories(root_ / "Art/train");  // part of no split: an empty class
  EXPECT_ERROR(open(), "the class 'train' has no image in any domain");
  fs::remove(root_ / "Art/train");
  const std::string good = picture(12, false);
  write("Art/cup/2.jpg", good.substr(0, good.size() / 2));
  write("Art/cup/4.jpg", "");
  write("Art/cup/6.jpg", "GIF89a……………");
  Dataset d;
  try {
    d = open()->load("Art", Part::train, 0);
    ADD_FAILURE() << "no Error";
  } catch (const Error& e) {
    EXPECT_NE(e.message().find(" of 14 images cannot be read"), std::string::npos) << e.message();
    EXPECT_NE(e.message().find("--skip-corrupt"), std::string::npos);
  }
  const auto lenient = open(16, true);
  int left_out = 0;
  std::multiset<int> seen;
  for (const Part part : {Part::train, Part::test}) {
    d = lenient->load("Art", part, 0);
    const size_t at = d.name.find("), ");
    if (at != std::string::npos) left_out += std::stoi(d.name.substr(at + 3));
    seen.merge(levels(d)[0]);
  }
  EXPECT_EQ(left_out, 3);
  EXPECT_EQ(seen.size(), 17u);
  for (const int gone : {12, 14, 16}) EXPECT_EQ(seen.count(gone), 0u) << gone;
  for (const auto& f : fs::directory_iterator(root_ / "Art/cup")) std::ofstream(f.path()) << "x";
  EXPECT_ERROR(lenient->load("Art", Part::train, 0), "none of the 14 images can be read");
}

TEST_F(FolderBenchmark, BadTrees) {
  EXPECT_ERROR(open_benchmark("folder"), "folder: give the folder that holds");
  EXPECT_ERROR(open(), "holds neither folders nor lists");
  EXPECT_ERROR(open_benchmark("folder", {.folder = "/nowhere"}), "/nowhere is no folder");
  write("file", "x");
  EXPECT_ERROR(open_benchmark("folder", {.folder = (root_ / "file").string()}), "is no folder");
  write("cup/0.jpg", picture(1, false));  // the level of domains is missing
  EXPECT_ERROR(open(), "cup/0.jpg lies beside class folders; expected <domain>/<class>/<image>");
  fs::remove_all(root_ / "cup");
  write("Art/cup/more/0.jpg", picture(1, false));
  EXPECT_ERROR(open(), "Art/cup/more is a folder inside a class");
  fs::remove_all(root_ / "Art");
  write_class("Art/cup", 2, 1);
  fs::create_directory_symlink(root_ / "Art", root_ / "Art/loop");  // a class that holds folders
  EXPECT_ERROR(open(), "is a folder inside a class");
  fs::remove(root_ / "Art/loop");
  fs::create_symlink("self", root_ / "Art/self");
  EXPECT_ERROR(open(), "Art/self: ");
  fs::remove(root_ / "Art/self");
  if (geteuid() != 0) {  // root may read anything
    fs::permissions(root_ / "Art/cup", fs::perms::none);
    EXPECT_ERROR(open(), "cannot read");
    fs::permissions(root_ / "Art/cup", fs::perms::owner_all);
  }
  EXPECT_ERROR(open()->load("Photo", Part::train, 0), "there is no domain 'Photo'; known are Art");
  EXPECT_ERROR(open(7), "images can have 8 … 1024 pixels a side, got 7");
  fs::create_directories(root_ / "Empty");
  EXPECT_ERROR(open(), "Empty holds no class folders");
}

TEST(ImageFiles, MoreThanTheMemoryHolds) {
  const std::vector<ImageFile> many(1'000'000, {"x.jpg", 0});
  EXPECT_ERROR(load_image_files("big", many, {"x"}, {.frame = {1024, 1024}}),
               "big: 1000000 images of 1024×1024×3 need 2.86 TiB");
}

}  // namespace
}  // namespace holt::data
