// nn/train_loop.h's counting, and the metadata that says how to use a model.
#include "nn/train_loop.h"

#include <gtest/gtest.h>

#include <cmath>

#include "nn/usage.h"

namespace holt::nn {
namespace {

TEST(ScoresTest, FirstLargestWinsAndNanIsWrong) {
  const float nan = NAN;
  const Tensor logits = from(std::vector<float>{1, 3, 2,        // 1
                                                2, 2, 1,        // a tie: 0
                                                2, 2, 1,        // the same row, label 1: wrong
                                                nan, nan, nan,  // wrong
                                                0, nan, 1,      // wrong: nothing is larger than NaN
                                                -1, -2, 0.5f},  // 2
                             {6, 3});
  const Tensor labels = from(std::vector<int64_t>{1, 0, 1, 0, 2, 2}, {6});
  Scores s;
  s.add(logits, labels, 0.5);
  EXPECT_EQ(s.samples, 6);
  EXPECT_EQ(s.correct, 3);
  EXPECT_EQ(s.class_samples, (std::vector<int64_t>{2, 2, 2}));
  EXPECT_EQ(s.class_correct, (std::vector<int64_t>{1, 1, 1}));
  s.add(logits.narrow(0, 2), labels.narrow(0, 2), 2.5);
  EXPECT_DOUBLE_EQ(s.accuracy(), 5.0 / 8);
  EXPECT_DOUBLE_EQ(s.loss(), (6 * 0.5 + 2 * 2.5) / 8);
}

TEST(ScoresTest, RefusesWhatDoesNotFit) {
  Scores s;
  EXPECT_THROW(s.add(zeros({2, 3}), from(std::vector<int64_t>{0}, {1}), 0), Error);
  EXPECT_THROW(s.add(zeros({2, 3}), from(std::vector<int64_t>{0, 3}, {2}), 0), Error);
  EXPECT_EQ(Scores{}.accuracy(), 0);
}

TEST(UsageTest, SurvivesTheMetadata) {
  const ModelConfig config{.name = "mlp", .classes = 2, .channels = 1};
  const Usage u{{"a \"quoted\" name", "ключ"}, {0.1f}, {0.3f}};
  EXPECT_EQ(usage_from_metadata(to_metadata(u), config, "file"), u);
}

TEST(UsageTest, DamageIsOneErrorThatNamesTheFile) {
  const ModelConfig config{.name = "mlp", .classes = 2, .channels = 1};
  const char* damaged[] = {"",
                           "{",
                           "[]",
                           "{}",
                           R"({"classes": ["a"], "mean": [0], "std": [1]})",
                           R"({"classes": ["a", 1], "mean": [0], "std": [1]})",
                           R"({"classes": ["a", "b"], "mean": [0, 0], "std": [1, 1]})",
                           R"({"classes": ["a", "b"], "mean": [0], "std": [0]})",
                           R"({"classes": ["a", "b"], "mean": [0], "std": ["1"]})",
                           R"({"classes": ["a", "b"], "mean": [1e999], "std": [1]})"};
  for (const char* text : damaged) try {
      usage_from_metadata({{"usage", text}}, config, "some.file");
      ADD_FAILURE() << text;
    } catch (const Error& e) { EXPECT_EQ(e.message().rfind("some.file: ", 0), 0u) << e.message(); }
  EXPECT_THROW(usage_from_metadata({}, config, "file"), Error);
}

}  // namespace
}  // namespace holt::nn
