// `holt data` as a person uses it, and the contact sheet that it draws.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "data/benchmark.h"
#include "data/contact_sheet.h"
#include "data/image.h"
#include "tests/harness/expect_error.h"
#include "tests/harness/expect_text.h"
#include "tests/harness/program.h"

namespace holt {
namespace {

namespace fs = std::filesystem;
using data::Dataset, data::Image;

test::Result holt_data(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "data");
  return test::holt_run(arguments);
}

class DataCommand : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    setenv("OMP_NUM_THREADS", "1", 1);
    folder_ = fs::temp_directory_path() / format("holt_data_command_test.{}", getpid());
    for (const auto& [domain, level] : {std::pair{"Art", 50}, {"Clip", 150}})
      for (const auto& [name, count] : {std::pair{"cup", 4}, {"pen", 3}})
        for (int i = 0; i < count; ++i) {
          fs::create_directories(folder_ / "tree" / domain / name);
          const auto grey = static_cast<uint8_t>(level + 10 * (name[0] == 'p') + i);
          data::write_png((folder_ / "tree" / domain / name / format("{}.png", i)).string(),
                          {12, 16, 3, std::vector<uint8_t>(576, grey)});
        }
  }
  static void TearDownTestSuite() { fs::remove_all(folder_); }
  static std::string path(const std::string& name) { return (folder_ / name).string(); }
  static inline fs::path folder_;
};

TEST_F(DataCommand, List) {
  for (const auto& arguments : {std::vector<std::string>{}, {"list"}}) {
    const test::Result r = holt_data(arguments);
    EXPECT_EQ(r.code, 0) << r.err;
    for (const data::BenchmarkEntry& e : data::benchmarks()) {
      EXPECT_HAS(r.out, e.name);
      EXPECT_HAS(r.out, e.description);
      EXPECT_HAS(r.out, e.needs.empty() ? "needs nothing" : "needs " + e.needs);
    }
  }
}

TEST_F(DataCommand, Info) {
  const test::Result r = holt_data({"info", "folder", "--data-dir", path("tree"), "--image-size", "32"});
  ASSERT_EQ(r.code, 0) << r.err;
  EXPECT_HAS(r.out, "32×32×3");
  EXPECT_HAS(r.out, "2: cup, pen");
  EXPECT_HAS(r.out, "[0.485, 0.456, 0.406]");
  EXPECT_HAS(r.out, "5 (2 … 3 a class)");
  EXPECT_HAS(r.out, "2 (1 a class)  ← the source");
}

TEST_F(DataCommand, Preview) {
  const std::string out = path("sheet.png");
  const test::Result r = holt_data({"preview", "folder", "--data-dir", path("tree"), "--image-size", "32", "--source",
                                    "Clip", "--images", "3", "--out", out});
  ASSERT_EQ(r.code, 0) << r.err;
  EXPECT_HAS(r.out, "behind a blue bar Clip, behind an orange one Art");
  EXPECT_HAS(r.out, "cup");
  const Image sheet = data::load_image(out);
  EXPECT_EQ(sheet.channels, 3);
  EXPECT_HAS(r.out, format("{}×{} pixels", sheet.width, sheet.height));
  const test::Result few = holt_data(
      {"preview", "folder", "--data-dir", path("tree"), "--image-size", "32", "--classes", "1", "--out", out});
  EXPECT_HAS(few.out, "the first 1 of 2 classes");
}

TEST_F(DataCommand, Errors) {
  const auto fails = [](const std::vector<std::string>& arguments, int code, const std::string& part) {
    const test::Result r = holt_data(arguments);
    EXPECT_EQ(r.code, code) << r.out << r.err;
    EXPECT_HAS(r.err, part);
  };
  fails({"lst"}, 2, "did you mean 'list'?");
  fails({"info", "glyph"}, 2, "did you mean 'glyphs'?");
  fails({"info", "glyphs", "more"}, 2, "unexpected word 'more'");
  fails({"info", "glyphs", "--seeds", "1"}, 2, "did you mean '--seed'?");
  fails({"info"}, 1, "needs a name");
  fails({"info", "folder"}, 1, "--data-dir");
  fails({"info", "folder", "--data-dir", "/nowhere"}, 1, "/nowhere");
  fails({"preview", "folder", "--data-dir", path("tree"), "--target", "Arts"}, 1, "known are Art, Clip");
  fails({"preview", "folder", "--data-dir", path("tree"), "--out", "/nowhere/x.png"}, 1, "/nowhere");
  fails({"preview", "glyphs", "--images", "0"}, 2, "--images: must be at least 1");
  fs::create_directories(path("one"));
  fs::copy(path("tree") + "/Art", path("one") + "/Art", fs::copy_options::recursive);
  fails({"preview", "folder", "--data-dir", path("one")}, 1, "has no domain but Art");
  std::ofstream(path("one") + "/Art/cup/0.png") << "no picture";
  std::ofstream(path("one") + "/Art/cup/1.png") << "no picture";
  const std::vector<std::string> go = {"preview",  "folder", "--data-dir", path("one"),
                                       "--target", "Art",    "--out",      path("x.png")};
  fails(go, 1, "cannot be read; mend or remove them, or leave them out (--skip-corrupt)");
  std::vector<std::string> lenient = go;
  lenient.push_back("--skip-corrupt");
  EXPECT_EQ(holt_data(lenient).code, 0);
}

Dataset flat(const std::vector<int64_t>& labels, DType dtype, int64_t side) {
  const int64_t n = std::ssize(labels);
  Dataset d{"flat", empty({n, side, side, 1}, dtype), empty({n}, DType::i64), {"a", "b", "c"}};
  const int64_t pixels = side * side;
  for (int64_t i = 0; i < n; ++i) {
    d.labels.data<int64_t>()[i] = labels[static_cast<size_t>(i)];
    for (int64_t p = i * pixels; p < (i + 1) * pixels; ++p)
      if (dtype == DType::u8)
        d.images.data<uint8_t>()[p] = static_cast<uint8_t>(10 * i);
      else
        d.images.data<float>()[p] = static_cast<float>(10 * i) / 255;
  }
  return d;
}

TEST(ContactSheet, Layout) {
  const Dataset source = flat({0, 0, 0, 0, 1, 2}, DType::u8, 8), target = flat({2, 0, 2}, DType::f32, 8);
  const data::ContactSheet sheet = data::contact_sheet(source, target, 2, 100);
  int64_t shown = 0;
  for (const auto& column : sheet.rows) shown += std::ssize(column);
  EXPECT_EQ(shown, 3);
  const auto at = [&](int64_t x, int64_t y) {
    const uint8_t* p = sheet.image.pixels.data() + (y * sheet.image.width + x) * 3;
    return std::array<int, 3>{p[0], p[1], p[2]};
  };
  const auto grey = [](int v) { return std::array<int, 3>{v, v, v}; };
  // Margin 12, bar 4, gap 2, images of 16 with gaps of 2, again 4 and the other half.
  EXPECT_EQ(at(0, 0), grey(238));
  EXPECT_EQ(at(12, 12), (std::array<int, 3>{31, 119, 180}));
  EXPECT_EQ(at(18, 12), grey(0));  // source: samples 0 and 2 of the four
  EXPECT_EQ(at(18 + 18 + 15, 27), grey(20));
  EXPECT_EQ(at(18 + 34, 12), grey(238));
  const int64_t half = 12 + 4 + 2 + 36 + 4;
  EXPECT_EQ(at(half, 12), (std::array<int, 3>{255, 127, 14}));
  EXPECT_EQ(at(half + 6, 12), grey(10));        // target: its only sample of class a
  EXPECT_EQ(at(half + 6 + 18, 12), grey(216));  // and an empty place
  EXPECT_ERROR(data::contact_sheet(source, target, 0, 1), "at least 1 image");
  Dataset other = target;
  other.classes = {"a", "b", "d"};
  EXPECT_ERROR(data::contact_sheet(source, other, 1, 1), "have different classes");
}

}  // namespace
}  // namespace holt
