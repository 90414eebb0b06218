// data/image_folder.h: photographs decoded as they are asked for; folders as people have them, and broken ones.
#include "data/image_folder.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "data/loader.h"
#include "tests/harness/expect_error.h"
#include "tests/harness/jpeg_writer.h"

namespace holt::data {
namespace {

namespace fs = std::filesystem;

Image photo(int64_t height, int64_t width, int shade) {
  Image i{height, width, 3, {}};
  for (int64_t y = 0; y < height; ++y)
    for (int64_t x = 0; x < width; ++x)
      for (int64_t c = 0; c < 3; ++c)
        i.pixels.push_back(static_cast<uint8_t>(shade + 60 * x / width + 30 * y / height));
  return i;
}

class ImageFolderTest : public testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::temp_directory_path() / format("holt_image_folder_test.{}", getpid());
    fs::remove_all(root_);
  }
  void TearDown() override { fs::remove_all(root_); }

  void write(const std::string& name, const std::string& bytes) {
    fs::create_directories((root_ / name).parent_path());
    std::ofstream(root_ / name, std::ios::binary) << bytes;
  }
  void write_photo(const std::string& name, int shade, int64_t height = 40, int64_t width = 52) {
    write(name, test::encode_jpeg(photo(height, width, shade)));
  }
  // Two classes of `n` images, some deeper down.
  void write_part(const std::string& part, int n) {
    for (int i = 0; i < n; ++i) {
      write_photo(format("{}cat/{}{}.jpg", part, i % 2 ? "deep/er/" : "", i), 20 + i);
      write_photo(format("{}dog/{}.JPEG", part, i), 120 + i);
    }
  }
  std::string path() const { return root_.string(); }
  ImageFolder open(Part part, ImageFolderOptions o = {.frame = {16, 16}}) const { return {path(), part, o}; }

  fs::path root_;
};

TEST_F(ImageFolderTest, ClassesAreSortedFoldersAndImagesMayLieDeeper) {
  write_part("", 10);
  write("cat/notes.txt", "no image");
  write("cat/.hidden.jpg", "no image");
  fs::create_directory_symlink(root_ / "cat/deep", root_ / "dog/linked");  // the same folder twice, but no loop
  const ImageFolder train = open(Part::train), test = open(Part::test);
  EXPECT_EQ(train.classes(), (std::vector<std::string>{"cat", "dog"}));
  EXPECT_EQ(train.size(), 7 + 11);  // 70 % of 10 and of 15
  EXPECT_EQ(test.size(), 3 + 4);
  std::set<std::string> all;
  for (const ImageFolder* f : {&train, &test})
    for (const ImageFile& file : f->files()) {
      EXPECT_EQ(file.label, file.path.starts_with(path() + "/dog") ? 1 : 0);
      EXPECT_TRUE(all.insert(file.path).second) << file.path;
    }
  EXPECT_EQ(all.size(), 25u);
  EXPECT_EQ(open(Part::train, {.limit = 4}).size(), 4);
  EXPECT_EQ(open(Part::train, {.limit = 4}).label(3), 1);
}

TEST_F(ImageFolderTest, TrainAndValFolders) {
  write_part("train/", 4);
  write_photo("val/dog/a.jpg", 1);
  const ImageFolder train = open(Part::train), val = open(Part::test);
  EXPECT_EQ(train.size(), 8);
  EXPECT_EQ(val.size(), 1);
  EXPECT_EQ(val.label(0), 1);
  EXPECT_EQ(val.classes(), train.classes());
  write_photo("val/bird/a.jpg", 1);
  EXPECT_ERROR(open(Part::test), "val holds classes that the training images lack: bird");
}

TEST_F(ImageFolderTest, ImagesAreFramedAndNormalised) {
  write_part("train/", 1);
  write_part("val/", 3);
  const auto val = std::make_shared<ImageFolder>(path(), Part::test, ImageFolderOptions{.frame = {16, 16}});
  const Loader loader(val, {.batch = 6, .normalize = {{0.5f, 0.4f, 0.3f}, {0.5f, 0.25f, 0.2f}}});
  auto epoch = loader.epoch(0);
  const auto b = epoch.next();
  ASSERT_EQ(b->images.shape(), (Shape{6, 16, 16, 3}));
  for (int64_t k = 0; k < 6; ++k) {
    const Image image = load_framed(val->files()[static_cast<size_t>(k)].path, {16, 16});
    const float* x = b->images.data<float>() + k * 16 * 16 * 3;
    for (size_t i = 0; i < image.pixels.size(); ++i) {
      const double mean = std::array{0.5, 0.4, 0.3}[i % 3], std = std::array{0.5, 0.25, 0.2}[i % 3];
      ASSERT_NEAR(x[i], (image.pixels[i] / 255.0 - mean) / std, 1e-5);
    }
  }
  EXPECT_FALSE(epoch.next());
}

TEST_F(ImageFolderTest, TheSameBatchesWhateverTheWorkers) {
  write_part("", 12);
  write_photo("cat/large.jpg", 40, 300, 420);  // decoded smaller
  const auto train = std::make_shared<ImageFolder>(path(), Part::train, ImageFolderOptions{.frame = {24, 24}});
  LoaderOptions o = {.batch = 5, .shuffle = true, .seed = 3, .prefetch = 0, .augment = augment_preset("randaugment")};
  const auto all = [&](int workers, int prefetch, int64_t epoch) {
    o.workers = workers, o.prefetch = prefetch;
    std::vector<float> x;
    auto e = Loader(train, o).epoch(epoch);
    while (const auto b = e.next()) {
      const auto values = b->images.to_vector<float>();
      x.insert(x.end(), values.begin(), values.end());
    }
    return x;
  };
  const std::vector<float> reference = all(0, 0, 1);
  EXPECT_EQ(std::ssize(reference), train->size() * 24 * 24 * 3);
  for (const auto& [workers, prefetch] : {std::pair{1, 1}, {2, 2}, {5, 3}})
    EXPECT_EQ(all(workers, prefetch, 1), reference);
  EXPECT_NE(all(2, 2, 2), reference);
}

// A crop of an image that was decoded at half its size holds what the same crop of the whole one does.
TEST_F(ImageFolderTest, CropsOfReducedImages) {
  write_photo("a/large.jpg", 10, 600, 800);
  const Augment a = {.crop = true, .least_area = 0.5};
  for (int64_t k = 0; k < 20; ++k) {
    Draws draws(1, 2, k), again(1, 2, k);
    const std::string file = path() + "/a/large.jpg";
    const Image got = load_augmented(file, {32, 32}, a, draws);
    const Image expected = resize(load_image(file), random_crop(a, 600, 800, again), 32, 32);
    ASSERT_EQ(got.pixels.size(), expected.pixels.size());
    for (size_t i = 0; i < got.pixels.size(); ++i) ASSERT_NEAR(got.pixels[i], expected.pixels[i], 3);
  }
}

TEST_F(ImageFolderTest, BrokenImages) {
  write_part("train/", 4);
  write_part("val/", 2);
  write("val/cat/broken.jpg", test::encode_jpeg(photo(40, 40, 1)).substr(0, 300));
  write("val/dog/0page.png", "<html>");
  write("val/dog/0moving.gif", "GIF89a");
  write("val/dog/0nothing.jpeg", "");
  fs::create_symlink("nowhere.jpg", root_ / "val/dog/0lost.jpg");
  const auto run = [&](bool skip, int64_t batch) {
    const auto val =
        std::make_shared<ImageFolder>(path(), Part::test, ImageFolderOptions{.frame = {16, 16}, .skip_corrupt = skip});
    EXPECT_EQ(val->size(), 9);
    std::vector<int64_t> sizes, labels;
    for (int pass = 0; pass < 2; ++pass) {
      sizes.clear(), labels.clear();
      auto e = Loader(val, {.batch = batch}).epoch(pass);
      while (const auto b = e.next()) {
        sizes.push_back(b->images.size(0));
        for (const int64_t l : b->labels.to_vector<int64_t>()) labels.push_back(l);
        EXPECT_EQ(std::ssize(b->samples), b->images.size(0));
        for (int64_t k = 0; k < b->images.size(0); ++k)
          EXPECT_EQ(val->label(b->samples[static_cast<size_t>(k)]), b->labels.data<int64_t>()[k]);
      }
    }
    EXPECT_EQ(sizes, (std::vector<int64_t>{3, 1}));
    EXPECT_EQ(labels, (std::vector<int64_t>{0, 0, 1, 1}));
    EXPECT_EQ(val->unreadable().size(), 5u);  // each once
    return val->unreadable();
  };
  EXPECT_ERROR(run(false, 5), "cat/broken.jpg: corrupt JPEG");
  EXPECT_ERROR(run(false, 5), "(--skip-corrupt)");
  std::string texts;
  for (const Unreadable& u : run(true, 5)) texts += u.text + "\n";
  for (const char* part : {"broken.jpg: corrupt JPEG", "page.png: no image format", "moving.gif: a GIF",
                           "nothing.jpeg: the file is empty", "lost.jpg"})
    EXPECT_NE(texts.find(part), std::string::npos) << part << " in " << texts;
  EXPECT_ERROR(run(true, 1), "none of the 1 images of batch");
}

TEST_F(ImageFolderTest, BrokenFolders) {
  EXPECT_ERROR(ImageFolder("", Part::train, {}), "--data-dir");
  EXPECT_ERROR(open(Part::train), "is no folder");
  fs::create_directories(root_);
  EXPECT_ERROR(open(Part::train), "holds no class folders");
  fs::create_directories(root_ / "cat");
  fs::create_directories(root_ / "dog");
  write_photo("cat/a.jpg", 1);
  write_photo("cat/b.jpg", 1);
  EXPECT_ERROR(open(Part::train), "classes without an image in " + path() + ": dog; remove these folders");
  write_photo("dog/a.jpg", 1);
  EXPECT_NO_THROW(open(Part::train));
  write_photo("stray.jpg", 1);
  EXPECT_ERROR(open(Part::train), "stray.jpg lies beside class folders");
  fs::remove(root_ / "stray.jpg");
  fs::create_directory_symlink(root_, root_ / "dog/up");
  EXPECT_ERROR(open(Part::train), "dog/up is a link that leads back to a folder it lies in");
  fs::remove(root_ / "dog/up");
  fs::create_directory_symlink("self", root_ / "dog/self");
  EXPECT_ERROR(open(Part::train), "dog/self");
  fs::remove(root_ / "dog/self");
  if (geteuid() != 0) {  // root may read everything
    fs::permissions(root_ / "dog", fs::perms::none);
    EXPECT_ERROR(open(Part::train), "cannot read");
    fs::permissions(root_ / "dog", fs::perms::owner_all);
  }
  EXPECT_ERROR(open(Part::train, {.frame = {0, 16}}), "images of 0×16×3 cannot be made");
  fs::remove(root_ / "cat/b.jpg");
  EXPECT_ERROR(open(Part::test), "every class of " + path() + " has one image only");
}

}  // namespace
}  // namespace holt::data
