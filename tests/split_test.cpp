// Which classes are seen: every form of --split, and everything that can be wrong with one.
#include "transfer/split.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "tests/harness/expect_error.h"
#include "tests/harness/json.h"
#include "tests/harness/tiny_transfer.h"
#include "transfer/task.h"

namespace holt::transfer {
namespace {

using Classes = std::vector<int64_t>;
const std::vector<std::string> kAnimals = {"ant", "bee", "cow", "dog", "elk", "fox", "gnu"};

Split split(const std::string& spec, const Classes& present = {}) {
  return make_split(spec, kAnimals, "T", 0, present);
}

std::vector<std::string> numbered(int64_t n) {
  std::vector<std::string> names;
  for (int64_t i = 0; i < n; ++i) names.push_back(format("c{}", i));
  return names;
}

TEST(SplitTest, FormsByPosition) {
  EXPECT_EQ(split("first-half").seen, (Classes{0, 1, 2}));
  EXPECT_EQ(split("last-half").seen, (Classes{3, 4, 5, 6}));
  EXPECT_EQ(split("even").seen, (Classes{0, 2, 4, 6}));
  EXPECT_EQ(split("odd").seen, (Classes{1, 3, 5}));
  EXPECT_EQ(split("present", {1, 6}).seen, (Classes{1, 6}));
  EXPECT_EQ(split("even").name, "even");
}

TEST(SplitTest, FormsByName) {
  EXPECT_EQ(split("classes:gnu,ant,dog").seen, (Classes{0, 3, 6}));
  const auto path = std::filesystem::temp_directory_path() / format("holt_split_test.{}", getpid());
  std::ofstream(path) << "# half of them\nfox \r\n\n  bee # not \"bees\"\n";
  const Split s = split("file:" + path.string());
  EXPECT_EQ(s.seen, (Classes{1, 5}));
  EXPECT_EQ(s.name, "file:" + path.string());
  std::ofstream(path) << "fox\nbee\nfox\n";
  EXPECT_ERROR(split("file:" + path.string()), "names the class 'fox' twice");
  std::ofstream(path) << "# nothing\n";
  EXPECT_ERROR(split("file:" + path.string()), "no class is seen");
  std::ofstream(path) << "T-shirt\n";
  EXPECT_ERROR(split("file:" + path.string()), "names the class 'T-shirt', which the data does not have");
  std::filesystem::remove(path);
  EXPECT_ERROR(split("file:" + path.string()), path.string());
}

TEST(SplitTest, RandomIsAFunctionOfSeedAndTarget) {
  const std::vector<std::string> classes = numbered(62);
  const auto draw = [&](const std::string& target, uint64_t seed) {
    return make_split("random:31", classes, target, seed, {}).seen;
  };
  std::set<Classes> drawn;
  for (const char* target : {"Breip", "Kristi", ""})
    for (uint64_t seed = 0; seed < 20; ++seed) {
      const Classes seen = draw(target, seed);
      EXPECT_EQ(seen, draw(target, seed));
      EXPECT_EQ(seen.size(), 31u);
      EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end()));
      drawn.insert(seen);
    }
  EXPECT_EQ(drawn.size(), 60u);  // no two alike
}

TEST(SplitTest, RandomDrawsEveryClassEquallyOften) {
  const std::vector<std::string> classes = numbered(10);
  std::vector<int> count(10);
  constexpr int kDraws = 4000;
  for (uint64_t seed = 0; seed < kDraws; ++seed)
    for (const int64_t c : make_split("random:3", classes, "T", seed, {}).seen) ++count[c];
  for (const int n : count) EXPECT_NEAR(n, 0.3 * kDraws, 5 * std::sqrt(0.3 * 0.7 * kDraws));
}

TEST(SplitTest, RandomCounts) {
  const auto count = [](const std::string& spec, int64_t classes) {
    return std::ssize(make_split(spec, numbered(classes), "T", 1, {}).seen);
  };
  EXPECT_EQ(count("random", 7), 3);
  EXPECT_EQ(count("random", 62), 31);
  EXPECT_EQ(count("random:1", 2), 1);
  EXPECT_EQ(count("random:6", 7), 6);
  EXPECT_EQ(count("random:50%", 7), 4);  // 3.5: halves up
  EXPECT_EQ(count("random:30%", 10), 3);
  EXPECT_EQ(count("random:46.2%", 65), 30);
  EXPECT_EQ(count("random:35%", 10), 4);  // 3.5
  EXPECT_EQ(count("random:34.9%", 10), 3);
  EXPECT_EQ(count("random:1%", 60), 1);  // 0.6
}

TEST(SplitTest, NoneOrAllSeen) {
  for (const char* spec : {"random:7", "random:100%", "random:1%", "random:8", "random:99%"})
    EXPECT_ERROR(split(spec), "at least one must be seen and one missing");
  EXPECT_ERROR(split("present"), "no class is seen, so there is nothing to adapt with");
  EXPECT_ERROR(split("present", {0, 1, 2, 3, 4, 5, 6}), "all 7 classes are seen");
  EXPECT_ERROR(split("classes:ant,bee,cow,dog,elk,fox,gnu"), "all 7 classes are seen");
  EXPECT_ERROR(split("classes:"), "no class is seen");
  EXPECT_ERROR(make_split("first-half", {"only"}, "T", 0, {}), "no class is seen");
}

TEST(SplitTest, BadForms) {
  for (const char* spec : {"random:", "random:0", "random:-1", "random:2.5", "random:x", "random:%", "random:3x",
                           "random:nan", "random:inf", "random:1e300", "random:1e300%", "random:0%", "random: 3"})
    EXPECT_ERROR(split(spec), "no number of classes");
  for (const char* spec : {"", "half", "even:2", "first-half:3", "Random", "present:"})
    EXPECT_ERROR(split(spec), "is unknown; known are random, random:N");
  EXPECT_ERROR(split("classes:ant,ant"), "names the class 'ant' twice");
  EXPECT_ERROR(split("classes:ant,,bee"), "names the class ''");
  EXPECT_ERROR(split("classes:ant,cot"), "names the class 'cot', which the data does not have; did you mean 'cow'?");
  EXPECT_ERROR(split("classes:zebra"), "its 7 classes are ant, bee, cow, dog, elk, fox, gnu");
}

TEST(SplitTest, Validate) {
  EXPECT_ERROR(validate({"s", {2, 1}}, 7), "must ascend within 0 … 6");
  EXPECT_ERROR(validate({"s", {1, 1}}, 7), "must ascend");
  EXPECT_ERROR(validate({"s", {-1, 1}}, 7), "must ascend");
  EXPECT_ERROR(validate({"s", {1, 7}}, 7), "must ascend");
  validate({"s", {0, 6}}, 7);
}

TEST(SplitTest, MaskAndUnseen) {
  const Split s{"s", {1, 3}};
  EXPECT_EQ(s.mask(5), (std::vector<bool>{false, true, false, true, false}));
  EXPECT_EQ(s.unseen(5), (Classes{0, 2, 4}));
}

TEST(SplitTest, JsonRoundTrip) {
  for (const char* spec : {"random:3", "even", "classes:ant,gnu"}) {
    const Split s = split(spec);
    EXPECT_EQ(parse_json(json_text(nlohmann::json(s))).get<Split>(), s);
  }
  EXPECT_THROW(parse_json(R"({"name": "x"})").get<Split>(), nlohmann::json::exception);
}

class Gaps : public test::TinyBenchmark {  // its training images have no cow
 public:
  data::Dataset load(const std::string& domain, data::Part part, uint64_t seed) const override {
    const data::Dataset all = TinyBenchmark::load(domain, part, seed);
    return part == data::Part::train ? of_classes(all, {true, true, false, true, true, true}) : all;
  }
};

TEST(TaskTest, TheSeenImagesAreThoseOfTheSeenClasses) {
  const Task t = test::tiny_task("classes:bee,fox");
  EXPECT_EQ(t.split.seen, (Classes{1, 5}));
  EXPECT_EQ(t.train.size(), 20);
  EXPECT_EQ(t.train_all.size(), 60);
  EXPECT_EQ(t.test.size(), 48);
  for (const int64_t label : t.train.labels.to_vector<int64_t>()) EXPECT_TRUE(label == 1 || label == 5);
  const Task few = make_task("tiny", test::TinyBenchmark(),
                             {.source = "clean", .target = "dim", .split = "classes:bee,fox", .limit = 3});
  EXPECT_EQ(few.train.size(), 6);
  EXPECT_EQ(few.test.size(), 18);
  // The first ones of each class, in order.
  EXPECT_EQ(few.train.images.to_vector<uint8_t>()[0],
            of_classes(test::TinyBenchmark().load("dim", data::Part::train, 0), few.split.mask(6))
                .images.to_vector<uint8_t>()[0]);
}

TEST(TaskTest, ClassesWithoutImages) {
  const Gaps gaps;
  EXPECT_EQ(make_task("gaps", gaps, {.source = "clean", .target = "dim", .split = "present"}).split.seen,
            (Classes{0, 1, 3, 4, 5}));
  const TaskRequest cow{.source = "clean", .target = "dim", .split = "classes:cow,dog"};
  EXPECT_ERROR(make_task("gaps", gaps, cow), "domain dim has no training image of the seen class 'cow'");
  EXPECT_ERROR(task_split("gaps", gaps, cow), "domain dim has no training image of the seen class 'cow'");
  EXPECT_ERROR(make_task("tiny", test::TinyBenchmark(), {.source = "clean", .target = "dm"}), "dm");
}

TEST(TaskTest, TheSplitIsKnownBeforeTheImages) {
  for (const char* split : {"random", "random:2", "even", "present"})
    for (uint64_t seed = 0; seed < 3; ++seed) {
      const Gaps gaps;
      TaskRequest r{.source = "clean", .target = "dim", .split = split, .split_seed = seed};
      if (r.split.starts_with("random") || r.split == "even") {
        const test::TinyBenchmark whole;
        EXPECT_EQ(task_split("tiny", whole, r), make_task("tiny", whole, r).split);
      } else {
        EXPECT_EQ(task_split("gaps", gaps, r), make_task("gaps", gaps, r).split);
      }
    }
}

}  // namespace
}  // namespace holt::transfer
