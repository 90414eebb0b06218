// The benchmark `iwildcam`, on a metadata.csv and images that are written here; and CSV files.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include "data/benchmark.h"
#include "data/csv.h"
#include "tests/harness/expect_error.h"
#include "tests/harness/jpeg_writer.h"

namespace holt::data {
namespace {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

class IWildCamBenchmark : public testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::temp_directory_path() / format("holt_iwildcam_test.{}", getpid());
    fs::remove_all(root_);
    fs::create_directories(root_ / "train");
  }
  void TearDown() override { fs::remove_all(root_); }
  void write(const std::string& path, const std::string& text) const {
    std::ofstream(root_ / path, std::ios::binary) << text;
  }
  // One line of metadata.csv, and its image: one grey level all over.
  void add(const std::string& split, int location, int sequence, int y, int level) {
    const std::string file = format("{}, {}.jpg", location, count_++);
    csv_ += format("{},{},17,{},\"{}-{}\",2013,{},\"{}\",\"a \"\"quoted\"\" comment\"\r\n", split, location, sequence,
                   location, sequence, y, file);
    const Image image{10, 14, 3, std::vector<uint8_t>(420, static_cast<uint8_t>(level))};
    write("train/" + file, test::encode_jpeg(image));
  }
  void write_all() {
    for (int i = 0; i < 6; ++i) add("train", 1, i, i % 5, i);
    for (int i = 0; i < 3; ++i) add("id_test", 1, 100 + i, i, 50 + i);
    add("val", 2, 200, 0, 60);
    add("id_val", 1, 201, 0, 61);
    for (int i = 0; i < 24; ++i) add("test", 7, 300 + i / 3, i / 6, 70 + i);  // 8 sequences of 4 classes
    for (int i = 0; i < 28; ++i) add("test", 8, 400 + i, i % 4, 100 + i);
    for (int i = 0; i < 19; ++i) add("test", 9, 500 + i, i % 4, 130 + i);   // too few images
    for (int i = 0; i < 40; ++i) add("test", 10, 600 + i, i % 3, 150 + i);  // too few classes
    write("metadata.csv", kHeader + csv_);
  }
  std::unique_ptr<Benchmark> open() const {
    return open_benchmark("iwildcam", {.folder = root_.string(), .image_size = 8});
  }
  static std::multiset<int> levels(const Dataset& d) {
    std::multiset<int> out;
    for (int64_t i = 0; i < d.size(); ++i) out.insert(d.images.data<uint8_t>()[i * 192 + 90]);
    return out;
  }
  static inline const std::string kHeader =
      "split,location_remapped,location,sequence_remapped,sequence,year,y,filename,comment\r\n";
  fs::path root_;
  std::string csv_;
  int count_ = 0;
};

TEST_F(IWildCamBenchmark, DomainsAndParts) {
  write_all();
  const auto b = open();
  EXPECT_EQ(b->classes(), (Words{"0", "1", "2", "3", "4"}));
  EXPECT_EQ(b->domains(), (Words{"train", "location-8", "location-7"}));
  EXPECT_EQ(b->targets("train"), (Words{"location-8", "location-7"}));
  EXPECT_EQ(levels(b->load("train", Part::train, 0)), (std::multiset<int>{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(levels(b->load("train", Part::test, 0)), (std::multiset<int>{50, 51, 52}));
  EXPECT_EQ(b->load("location-8", Part::train, 0).size(), 20);
  EXPECT_EQ(b->load("location-8", Part::test, 0).size(), 8);
  EXPECT_EQ(b->labels("location-8", Part::test, 0).size(), 8u);
}

TEST_F(IWildCamBenchmark, SequencesStayWhole) {
  write_all();
  const auto b = open();
  std::set<std::multiset<int>> different;
  for (uint64_t seed = 0; seed < 10; ++seed) {
    const Dataset train = b->load("location-7", Part::train, seed), test = b->load("location-7", Part::test, seed);
    validate(train), validate(test);
    std::multiset<int> both = levels(train), others = levels(test);
    EXPECT_EQ(both.size(), 12u);  // one of each class's two sequences
    std::map<int, int> frames;
    for (const int level : others) ++frames[(level - 70) / 3];
    for (const auto& [sequence, n] : frames) EXPECT_EQ(n, 3) << sequence;
    different.insert(others);
    both.merge(others);
    EXPECT_EQ(both.size(), 24u);
    EXPECT_EQ(std::set<int>(both.begin(), both.end()).size(), 24u);
  }
  EXPECT_GT(different.size(), 3u);
}

TEST_F(IWildCamBenchmark, Categories) {
  write_all();
  write("categories.csv", "y,category_id,name\n1,3,\"deer, red\"\n0,0,empty\n2,4,boar\n3,5,fox\n4,6,hare\n");
  EXPECT_EQ(open()->classes(), (Words{"empty", "deer, red", "boar", "fox", "hare"}));
  write("categories.csv", "y,category_id,name\n0,0,empty\n1,1,deer\n");
  EXPECT_ERROR(open(), "metadata.csv: line 4: y 2 is outside 0 … 1");
  write("categories.csv", "y,category_id,name\n0,0,empty\n2,1,deer\n");
  EXPECT_ERROR(open(), "categories.csv: y 1 is missing");
}

TEST_F(IWildCamBenchmark, BadMetadata) {
  EXPECT_ERROR(open_benchmark("iwildcam"), "iwildcam: give the folder");
  EXPECT_ERROR(open(), "metadata.csv");
  write("metadata.csv", "");
  EXPECT_ERROR(open(), "metadata.csv: the file is empty");
  write("metadata.csv", "split,location,y,filename\n");
  EXPECT_ERROR(open(), "the header has no column 'location_remapped'");
  write("metadata.csv", kHeader);
  EXPECT_ERROR(open(), "no image of the split 'train'");
  const auto with = [&](const std::string& line) {
    write("metadata.csv", kHeader + "train,1,1,1,a,2013,0,a.jpg,\n" + line + "\n");
  };
  with("train,1,1,1,a,2013,x,a.jpg,");
  EXPECT_ERROR(open(), "metadata.csv: line 3: y must be a number from 0 on, got 'x'");
  with("train,1,1,1,a,2013,-1,a.jpg,");
  EXPECT_ERROR(open(), "line 3: y must be a number from 0 on, got '-1'");
  with("trial,1,1,1,a,2013,1,a.jpg,");
  EXPECT_ERROR(open(), "line 3: split must be train, val, test, id_val or id_test, got 'trial'");
  with("train,1,1,1,a,2013,1");
  EXPECT_ERROR(open(), "line 3: 7 fields, the header has 9");
  with("train,1,1,1,a,2013,1,a.jpg,\"open");
  EXPECT_ERROR(open(), "line 3: a quote that does not end");
  with("test,1,1,1,a,2013,1,a.jpg,");
  EXPECT_ERROR(open(), "none of the 1 cameras of the split 'test' has 20 images of 4 classes");
  write_all();
  fs::remove(root_ / "train" / "1, 3.jpg");
  EXPECT_ERROR(open()->load("train", Part::train, 0), "1 of 6 image files do not exist:\n  metadata.csv:5: ");
}

TEST(Csv, Fields) {
  const fs::path path = fs::temp_directory_path() / format("holt_csv_test.{}", getpid());
  const auto read = [&](const std::string& text) {
    std::ofstream(path, std::ios::binary) << text;
    std::vector<Words> rows;
    read_csv(path.string(), {"c", "a"}, [&](const Words& fields, int64_t line) {
      rows.push_back(fields);
      rows.back().push_back(std::to_string(line));
    });
    return rows;
  };
  EXPECT_EQ(read("a,b,c\n1,2,3\n\n4,5,6"), (std::vector<Words>{{"3", "1", "2"}, {"6", "4", "4"}}));
  EXPECT_EQ(read("\xEF\xBB\xBF"
                 "a,b,c\r\n\"x\ny\",,\"\"\"q\"\", r\"\r\n1,2,\r\n"),
            (std::vector<Words>{{"\"q\", r", "x\ny", "2"}, {"", "1", "4"}}));
  EXPECT_ERROR(read("a,c,a\n"), "has the column 'a' twice");
  EXPECT_ERROR(read("a,c\n1,2,3\n"), "line 2: 3 fields, the header has 2");
  EXPECT_ERROR(read("a,c\n1,2\"3\n"), "line 2: a quote inside a field");
  EXPECT_ERROR(read("a,c\n1,\"2\"3\n"), "line 2: text behind a closing quote");
  fs::remove(path);
}

}  // namespace
}  // namespace holt::data
