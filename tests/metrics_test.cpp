// Metrics, confusion and the seen–unseen curve, against an implementation from the definition that shares nothing with
// them, and against numbers worked out by hand.
#include "transfer/metrics.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "tests/harness/expect_error.h"
#include "tests/harness/logit_tables.h"
#include "transfer/curve.h"

namespace holt::transfer {
namespace {

using test::Brute;

constexpr float kNan = NAN;
constexpr double kThird = 1.0 / 3, kTwoThirds = 2.0 / 3;

// A and B come right within S (t = 2, 0.5), C does not; D and E come right within U (t = 1, −2), F does not.
const Predictions kSix = {4,
                          {5, 1, 3,    2,   // A
                           2, 3, 2.5f, 0,   // B
                           1, 2, 0,    0,   // C
                           4, 0, 3,    1,   // D
                           1, 2, 0,    4,   // E
                           0, 0, 1,    2},  // F
                          {0, 1, 0, 2, 3, 2}};
const Seen kFirstTwo = {true, true, false, false};

TEST(MetricsTest, SixImagesByHand) {
  const Metrics m = measure(kSix, kFirstTwo);
  EXPECT_EQ(m.samples, 6);
  EXPECT_EQ(m.seen_samples, 3);
  EXPECT_EQ(m.unseen_samples, 3);
  EXPECT_DOUBLE_EQ(m.overall, 0.5);
  EXPECT_DOUBLE_EQ(m.seen, kTwoThirds);
  EXPECT_DOUBLE_EQ(m.unseen, kThird);
  EXPECT_DOUBLE_EQ(m.hmean, 4.0 / 9);
  EXPECT_DOUBLE_EQ(m.seen_in_seen, kTwoThirds);
  EXPECT_DOUBLE_EQ(m.unseen_in_unseen, kTwoThirds);
  EXPECT_EQ(m.class_samples, (std::vector<int64_t>{2, 1, 2, 1}));
  EXPECT_EQ(m.class_correct, (std::vector<int64_t>{1, 1, 0, 1}));
  EXPECT_EQ(m.class_correct_in_group, (std::vector<int64_t>{1, 1, 1, 1}));
  EXPECT_DOUBLE_EQ(m.class_accuracy(0), 0.5);
  EXPECT_DOUBLE_EQ(m.class_accuracy_in_group(2), 0.5);
  EXPECT_EQ(confusion(kSix, kFirstTwo), (std::vector<int64_t>{1, 1, 0, 0,  //
                                                              0, 1, 0, 0,  //
                                                              1, 0, 0, 1,  //
                                                              0, 0, 0, 1}));
  const Metrics shifted = measure(kSix, kFirstTwo, 1.5);
  EXPECT_DOUBLE_EQ(shifted.seen, kThird);
  EXPECT_DOUBLE_EQ(shifted.unseen, kTwoThirds);
  EXPECT_EQ(shifted.class_correct_in_group, m.class_correct_in_group);
}

TEST(MetricsTest, TiesBetweenTheGroupsGoToTheFirstIndex) {
  // A: 5 and 3 + 2; D: 4 and 3 + 1. Class 0 stands before class 2, whichever of them is seen.
  EXPECT_EQ(measure(kSix, kFirstTwo, 2).class_correct, (std::vector<int64_t>{1, 0, 1, 1}));
  EXPECT_EQ(measure(kSix, kFirstTwo, 1).class_correct, (std::vector<int64_t>{1, 0, 0, 1}));
  const Seen last_two = {false, false, true, true};  // A: 5 − 2 and 3; D: 4 − 1 and 3
  EXPECT_EQ(measure(kSix, last_two, -2).class_correct[0], 1);
  EXPECT_EQ(measure(kSix, last_two, -1).class_correct[2], 0);
  EXPECT_EQ(measure(kSix, last_two, -1.25).class_correct[2], 1);
}

TEST(MetricsTest, NanIsWrongEverywhere) {
  const Predictions p = {3, {9, 0, kNan, kNan, 0, 9, 0, kNan, 1}, {0, 2, 1}};
  const Seen seen = {true, true, false};
  const Metrics m = measure(p, seen);
  EXPECT_EQ(m.overall + m.seen + m.unseen + m.hmean + m.seen_in_seen + m.unseen_in_unseen, 0);
  EXPECT_EQ(m.samples, 3);
  EXPECT_EQ(confusion(p, seen), std::vector<int64_t>(9));
  EXPECT_EQ(seen_unseen_curve(p, seen).size(), 1u);
}

TEST(MetricsTest, InfiniteLogitsKeepTheirPlace) {
  const float inf = INFINITY;
  const Seen seen = {false, true};
  EXPECT_EQ(measure({2, {inf, inf}, {0}}, seen, -1e30).overall, 1);  // a tie at every γ
  EXPECT_EQ(measure({2, {inf, inf}, {1}}, seen, -1e30).overall, 0);
  EXPECT_EQ(measure({2, {-inf, -inf}, {0}}, seen, -1e30).overall, 1);
  EXPECT_EQ(measure({2, {0, inf}, {1}}, seen, 1e30).overall, 1);
  EXPECT_EQ(measure({2, {-inf, 0}, {1}}, seen, 1e30).overall, 1);
  // Two of S, two of U; one of each is right at every γ, the others at none.
  const auto curve = seen_unseen_curve({2, {0, inf, inf, 0, inf, 0, 0, inf}, {1, 0, 1, 0}}, seen);
  ASSERT_EQ(curve.size(), 1u);
  EXPECT_EQ(curve[0].seen, 0.5);
  EXPECT_EQ(curve[0].unseen, 0.5);
}

TEST(MetricsTest, AGroupWithoutImages) {
  const Predictions only_seen = {3, {2, 1, 0, 2, 1, 0}, {0, 1}};
  const Metrics m = measure(only_seen, {true, true, false});
  EXPECT_DOUBLE_EQ(m.overall, 0.5);
  EXPECT_DOUBLE_EQ(m.seen, 0.5);
  EXPECT_EQ(m.unseen_samples, 0);
  EXPECT_EQ(m.unseen, 0);
  EXPECT_EQ(m.hmean, 0);
  EXPECT_EQ(m.class_accuracy(2), 0);
  EXPECT_EQ(ausuc(seen_unseen_curve(only_seen, {true, true, false})), 0);
  EXPECT_EQ(measure(Predictions{3, {}, {}}, {true, true, false}).overall, 0);
}

TEST(CurveTest, SixImagesByHand) {
  const auto curve = seen_unseen_curve(kSix, kFirstTwo);
  const CurvePoint expected[] = {{-3, kTwoThirds, 0},
                                 {-0.75, kTwoThirds, kThird},
                                 {0.75, kThird, kThird},
                                 {1.5, kThird, kTwoThirds},
                                 {3, 0, kTwoThirds}};
  ASSERT_EQ(curve.size(), std::size(expected));
  for (size_t k = 0; k < curve.size(); ++k) {
    EXPECT_EQ(curve[k].gamma, expected[k].gamma) << k;
    EXPECT_DOUBLE_EQ(curve[k].seen, expected[k].seen) << k;
    EXPECT_DOUBLE_EQ(curve[k].unseen, expected[k].unseen) << k;
  }
  EXPECT_DOUBLE_EQ(ausuc(curve), kThird);  // ⅓·⅓ + ⅓·⅔
}

TEST(CurveTest, KnownAreas) {
  const Seen seen = {true, false};
  const auto area = [&](std::vector<float> logits, std::vector<int64_t> labels) {
    return ausuc(seen_unseen_curve({2, std::move(logits), std::move(labels)}, seen));
  };
  EXPECT_EQ(area({3, 0, 2, 0, 0, 2, 0, 3}, {0, 0, 1, 1}), 1);  // some γ has all four right
  EXPECT_EQ(area({0, 3, 0, 2, 2, 0, 3, 0}, {0, 0, 1, 1}), 0);  // no γ has one of both groups right
  EXPECT_EQ(area({1, 0, 1, 0}, {0, 1}), 0.5);                  // both switch at γ = 1: a straight line
  EXPECT_EQ(area({1, 0, 1, 0, 0, 1}, {0, 1, 1}), 0.75);        // one of U before it
  // Three classes, wrong within the group: what is never right bounds the area.
  const double bounded = ausuc(seen_unseen_curve({3, {9, 0, 0, 0, 1, 0, 0, 0, 9}, {0, 0, 2}}, {true, true, false}));
  EXPECT_EQ(bounded, 0.5);
}

TEST(CurveTest, NeighbouringSwitchesThatNoDoubleParts) {
  const float tiny = 0x1p-60f;  // 1 − 2⁻⁶⁰ rounds to 1: to a double both images switch at the same γ
  const auto curve = seen_unseen_curve({2, {1, 0, 1, tiny}, {0, 1}}, {true, false});
  ASSERT_EQ(curve.size(), 2u);
  EXPECT_EQ(ausuc(curve), 0.5);
  const float next = 0x1p-53f;  // 1 and its neighbour 1 − 2⁻⁵³
  EXPECT_EQ(seen_unseen_curve({2, {1, 0, 1, next}, {0, 1}}, {true, false}).size(), 2u);
  EXPECT_EQ(seen_unseen_curve({2, {1, 0, 1, 2 * next}, {0, 1}}, {true, false}).size(), 3u);
  // Beyond a switching point so large that adding 1 is lost.
  const auto far = seen_unseen_curve({2, {1e30f, 0}, {0}}, {true, false});
  ASSERT_EQ(far.size(), 2u);
  EXPECT_LT(far[0].gamma, 1e30f);
  EXPECT_GT(far[1].gamma, 1e30f);
}

TEST(CurveTest, ThousandsOfTablesAgainstTheDefinition) {
  std::mt19937 random(1);
  int with_nan = 0, missing_group = 0, tied_switches = 0;
  for (int round = 0; round < 20000; ++round) {
    const test::Table table = test::random_table(random);
    const Predictions p = {table.classes, table.logits, table.labels};
    const Brute brute(table);
    const auto steps = brute.steps();
    const test::Counts only_seen = brute.count(-1e6), only_unseen = brute.count(1e6);
    for (const double gamma : brute.gammas()) {
      const Metrics m = measure(p, table.seen, gamma);
      const test::Counts c = brute.count(gamma);
      const auto ratio = [](int a, int b) { return b == 0 ? 0.0 : double(a) / b; };
      ASSERT_EQ(m.overall, ratio(c.seen + c.unseen, table.images())) << round << " at " << gamma;
      ASSERT_EQ(m.seen, ratio(c.seen, brute.of_seen)) << round << " at " << gamma;
      ASSERT_EQ(m.unseen, ratio(c.unseen, brute.of_unseen)) << round << " at " << gamma;
      ASSERT_EQ(m.seen_in_seen, ratio(only_seen.seen, brute.of_seen)) << round;
      ASSERT_EQ(m.unseen_in_unseen, ratio(only_unseen.unseen, brute.of_unseen)) << round;
      ASSERT_EQ(confusion(p, table.seen, gamma), c.confusion) << round << " at " << gamma;
      for (int64_t k = 0; k < table.classes; ++k)
        ASSERT_EQ(m.class_correct[k], c.confusion[k * table.classes + k]) << round << " at " << gamma;
    }
    const auto curve = seen_unseen_curve(p, table.seen);
    ASSERT_EQ(curve.size(), steps.size()) << round;
    for (size_t k = 0; k < curve.size(); ++k) {
      const test::Counts c = brute.count(curve[k].gamma);
      ASSERT_EQ(c.seen, steps[k].seen) << round;
      ASSERT_EQ(c.unseen, steps[k].unseen) << round;
      const Metrics m = measure(p, table.seen, curve[k].gamma);
      ASSERT_EQ(curve[k].seen, m.seen) << round;
      ASSERT_EQ(curve[k].unseen, m.unseen) << round;
      ASSERT_TRUE(steps[k].low < curve[k].gamma && curve[k].gamma < steps[k].high) << round;
    }
    ASSERT_NEAR(ausuc(curve), brute.area(), 1e-12) << round;
    with_nan += std::any_of(p.logits.begin(), p.logits.end(), [](float x) { return std::isnan(x); });
    missing_group += brute.of_seen == 0 || brute.of_unseen == 0;
    for (size_t k = 1; k < steps.size(); ++k)
      tied_switches += steps[k].seen != steps[k - 1].seen && steps[k].unseen != steps[k - 1].unseen;
  }
  EXPECT_GT(with_nan, 1000);  // the tables are as awkward as they should be
  EXPECT_GT(missing_group, 1000);
  EXPECT_GT(tied_switches, 1000);
}

TEST(CurveTest, ThinKeepsTheEndsAndTheShape) {
  std::mt19937 random(2);
  std::normal_distribution<float> normal;
  Predictions p{10, {}, {}};
  Seen seen(10);
  for (int c = 0; c < 10; c += 2) seen[c] = true;
  for (int i = 0; i < 20000; ++i) {
    p.labels.push_back(i % 10);
    for (int c = 0; c < 10; ++c) p.logits.push_back(normal(random) + 2.0f * (c == i % 10) + 1.0f * seen[c]);
  }
  const auto curve = seen_unseen_curve(p, seen);
  ASSERT_GT(curve.size(), 5000u);
  for (const int64_t points : {2, 3, 10, 200}) {
    const auto few = thin(curve, points);
    ASSERT_LE(std::ssize(few), points);
    EXPECT_GE(std::ssize(few), points * 9 / 10);
    EXPECT_EQ(few.front().gamma, curve.front().gamma);
    EXPECT_EQ(few.back().gamma, curve.back().gamma);
    for (size_t k = 1; k < few.size(); ++k) {
      EXPECT_LT(few[k - 1].gamma, few[k].gamma);
      const double step = few[k - 1].seen - few[k].seen + few[k].unseen - few[k - 1].unseen;
      EXPECT_LT(step, 2.0 / static_cast<double>(points - 1) + 0.01) << points;
    }
  }
  EXPECT_NEAR(ausuc(thin(curve, 200)), ausuc(curve), 1e-4);
  EXPECT_EQ(thin(curve, std::ssize(curve)).size(), curve.size());
  EXPECT_ERROR(thin(curve, 1), "max_points 1");
}

TEST(PredictionsTest, BatchesAreAppended) {
  Predictions p;
  p.add(from(std::vector<float>{1, 2, 3, 4}, {2, 2}), from(std::vector<int64_t>{0, 1}, {2}));
  p.add(from(std::vector<float>{5, 6}, {1, 2}, DType::bf16), from(std::vector<int64_t>{1}, {1}));
  EXPECT_EQ(p.classes, 2);
  EXPECT_EQ(p.logits, (std::vector<float>{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(p.labels, (std::vector<int64_t>{0, 1, 1}));
  EXPECT_ERROR(p.add(zeros({1, 3}), from(std::vector<int64_t>{0}, {1})), "expected 2 classes");
  EXPECT_ERROR(p.add(zeros({2, 2}), from(std::vector<int64_t>{0}, {1})), "[n, C]");
  EXPECT_EQ(p.size(), 3);
}

TEST(PredictionsTest, RefusesWhatDoesNotFit) {
  const Predictions good = {2, {1, 0, 0, 1}, {0, 1}};
  EXPECT_ERROR(measure({2, {1, 0, 0}, {0, 1}}, {true, false}), "need 4 logits, got 3");
  EXPECT_ERROR(measure({2, {1, 0, 0, 1}, {0, 2}}, {true, false}), "label 2 of image 1 is outside 0 … 1");
  EXPECT_ERROR(measure({2, {1, 0}, {-1}}, {true, false}), "label -1");
  EXPECT_ERROR(measure(good, {true}), "got 1 entries");
  EXPECT_ERROR(measure(good, {true, true}), "all of the 2 classes are seen");
  EXPECT_ERROR(measure(good, {false, false}), "none of the 2 classes is seen");
  EXPECT_ERROR(measure(good, {true, false}, INFINITY), "gamma must be finite");
  EXPECT_ERROR(confusion(good, {true, false}, NAN), "gamma must be finite");
}

}  // namespace
}  // namespace holt::transfer
