// The choice of γ, the nearest class mean, and summaries of many runs: against brute force and by hand.
#include "transfer/calibration.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "tests/harness/expect_error.h"
#include "tests/harness/logit_tables.h"
#include "transfer/nearest_class_mean.h"
#include "transfer/summary.h"

namespace holt::transfer {
namespace {

TEST(AverageLogitGapTest, ByHand) {
  // Wrong seen classes: (2 + 4)/2 = 3 and (1 + 3)/2 = 2; unseen: −1 and 0. The label's own logit is left out.
  const Predictions p = {4, {9, 2, 4, -1, 1, 3, 100, 0}, {0, 2}};
  EXPECT_DOUBLE_EQ(average_logit_gap(p, {true, true, true, false}), 3);
  EXPECT_DOUBLE_EQ(average_logit_gap({3, {5, 1, 7}, {1}}, {false, true, true}), 7 - 5);
}

TEST(AverageLogitGapTest, Refuses) {
  const Seen seen = {true, true, false};
  EXPECT_ERROR(average_logit_gap({3, {1, 2, 3}, {2}}, seen), "label 2, which is not seen");
  EXPECT_ERROR(average_logit_gap({3, {}, {}}, seen), "no images");
  EXPECT_ERROR(average_logit_gap({3, {1, 2, 3}, {0}}, {true, false, false}), "one seen class");
  EXPECT_ERROR(average_logit_gap({3, {1, 2, NAN}, {0}}, seen), "image 0 has a logit that is not finite");
  EXPECT_ERROR(average_logit_gap({3, {NAN, 2, 1}, {0}}, seen), "not finite");
}

TEST(BestGammaTest, ByHand) {
  // Switching points: −2 (an image of U comes right), 0.5 (one of S goes wrong), 1 (U), 2 (S). Right: 2, 3, 2, 3, 2.
  const Predictions p = {
      4, {5, 1, 3, 2, 2, 3, 2.5f, 0, 1, 2, 0, 0, 4, 0, 3, 1, 1, 2, 0, 4, 0, 0, 1, 2}, {0, 1, 0, 2, 3, 2}};
  const Seen seen = {true, true, false, false};
  EXPECT_DOUBLE_EQ(best_gamma(p, seen), -0.75);  // (−2, 0.5) is wider than (1, 2)
  EXPECT_DOUBLE_EQ(best_gamma(p, seen, Criterion::balanced), -0.75);
  EXPECT_DOUBLE_EQ(best_gamma(p, seen, Criterion::hmean), -0.75);  // ⅔ and ⅓ either way
}

TEST(BestGammaTest, TheCriteriaDiffer) {
  // Four images of S, three switching at 1 and one at 5, two of U at 2 and 3. By rising γ, seen and unseen right:
  // (4, 0) (1, 0) at 1, (1, 1) at 2, (1, 2) at 3, (0, 2) at 5.
  const Predictions p = {2, {1, 0, 1, 0, 1, 0, 5, 0, 2, 0, 3, 0}, {0, 0, 0, 0, 1, 1}};
  const Seen seen = {true, false};
  EXPECT_DOUBLE_EQ(best_gamma(p, seen), 0);                       // 4 of 6, at γ < 1: one below the first switch
  EXPECT_DOUBLE_EQ(best_gamma(p, seen, Criterion::balanced), 4);  // (¼ + 1)/2 against (1 + 0)/2
  EXPECT_DOUBLE_EQ(best_gamma(p, seen, Criterion::hmean), 4);     // 0.4
}

TEST(BestGammaTest, ItIsFiniteAlways) {
  const Seen seen = {true, false};
  EXPECT_DOUBLE_EQ(best_gamma({2, {0, 1, 0, 3}, {0, 0}}, seen), -4);  // S alone: below −3, where the first goes wrong
  EXPECT_DOUBLE_EQ(best_gamma({2, {1, 0, 3, 0}, {1, 1}}, seen), 4);   // U alone: beyond 3
  EXPECT_DOUBLE_EQ(best_gamma({2, {NAN, 0}, {1}}, seen), 0);
  EXPECT_DOUBLE_EQ(best_gamma({2, {2, 0, 2, 0}, {0, 1}}, seen), 1);  // one right on either side of 2: nearer to 0
  EXPECT_DOUBLE_EQ(best_gamma({2, {0, 2, 0, 2}, {0, 1}}, seen), -1);
}

TEST(BestGammaTest, Refuses) {
  const Seen seen = {true, false};
  EXPECT_ERROR(best_gamma({2, {}, {}}, seen), "no images");
  EXPECT_ERROR(best_gamma({2, {0, 1}, {0}}, seen, Criterion::balanced), "got 1 and 0");
  EXPECT_ERROR(best_gamma({2, {0, 1}, {1}}, seen, Criterion::hmean), "got 0 and 1");
}

TEST(BestGammaTest, ThousandsOfTablesAgainstBruteForce) {
  std::mt19937 random(3);
  int compared = 0, unbounded = 0;
  for (int round = 0; round < 20000; ++round) {
    const test::Table table = test::random_table(random);
    const test::Brute brute(table);
    const auto steps = brute.steps();
    for (const Criterion criterion : {Criterion::overall, Criterion::balanced, Criterion::hmean}) {
      const auto value = [&](double seen, double unseen) {
        if (criterion == Criterion::overall) return seen + unseen;
        const double a = seen / brute.of_seen, b = unseen / brute.of_unseen;
        if (criterion == Criterion::balanced) return (a + b) / 2;
        return seen + unseen > 0 ? 2 * a * b / (a + b) : 0;
      };
      if (table.images() == 0) continue;
      if (criterion != Criterion::overall && (brute.of_seen == 0 || brute.of_unseen == 0)) continue;
      double best = -1, widest = -1;
      for (const auto& s : steps) best = std::max(best, value(s.seen, s.unseen));
      for (const auto& s : steps)
        if (std::isfinite(s.high - s.low) && value(s.seen, s.unseen) > best - 1e-9)
          widest = std::max(widest, s.high - s.low);
      const double gamma = best_gamma({table.classes, table.logits, table.labels}, table.seen, criterion);
      ASSERT_TRUE(std::isfinite(gamma)) << round;
      const test::Counts n = brute.count(gamma);
      ASSERT_NEAR(value(n.seen, n.unseen), best, 1e-9) << round;
      for (const auto& s : steps) {
        if (!(s.low < gamma && gamma < s.high)) continue;
        if (widest >= 0) {
          ASSERT_NEAR(s.high - s.low, widest, 1e-12) << round;
          ASSERT_NEAR(gamma, (s.low + s.high) / 2, 1e-12) << round;
        } else {
          ASSERT_FALSE(std::isfinite(s.high - s.low)) << round;
          ++unbounded;
        }
        ++compared;
      }
    }
  }
  EXPECT_GT(compared, 5000);
  EXPECT_GT(unbounded, 500);
}

TEST(PseudoGammaTest, OnlyTheSeenClassesTakePart) {
  // Class 1 is unseen and would win everywhere; classes 0 and 3 are pseudo-seen, 2 and 4 pseudo-unseen.
  const Seen seen = {true, false, true, true, true}, half = {true, false, false, true, false};
  const Predictions p = {5,
                         {3, 99, 1,    0, 0,      // 0: right below 2
                          0, 99, 0.5f, 4, 1,      // 3: right below 3
                          2, 99, 1,    0, 0,      // 2: right above 1
                          0, 99, 0,    1, 0.5f},  // 4: right above 0.5
                         {0, 3, 2, 4}};
  EXPECT_DOUBLE_EQ(pseudo_gamma(p, seen, half), 1.5);
  EXPECT_ERROR(pseudo_gamma(p, seen, {true, true, false, false, false}), "pseudo-seen class 1 is not seen");
  EXPECT_ERROR(pseudo_gamma(p, seen, seen), "all of the 4 classes are seen");
  EXPECT_ERROR(pseudo_gamma(p, seen, Seen(5)), "none of the 4 classes is seen");
  EXPECT_ERROR(pseudo_gamma(p, seen, Seen(4)), "pseudo_seen has 4 classes");
  EXPECT_ERROR(pseudo_gamma({5, {0, 0, 0, 0, 0}, {1}}, seen, half), "image 0 has the unseen label 1");
  EXPECT_ERROR(pseudo_gamma({5, {0, 0, 0, 0, 0}, {0}}, seen, half), "got 1 and 0");
}

TEST(PseudoGammaTest, TheBalancedCriterionIgnoresHowManyImagesAHalfHas) {
  // Nine pseudo-seen images go wrong at 1, one pseudo-unseen comes right at 2; and one more each at 3 and at 0.
  Predictions p{3, {}, {}};
  const auto add = [&](float gap, int64_t label, int times) {
    for (int i = 0; i < times; ++i) p.logits.insert(p.logits.end(), {gap, 0, 50}), p.labels.push_back(label);
  };
  add(1, 0, 9), add(3, 0, 1), add(2, 1, 1);
  const Seen seen = {true, true, false}, half = {true, false, false};
  EXPECT_DOUBLE_EQ(pseudo_gamma(p, seen, half), 2.5);                    // (0.1 + 1)/2 against (1 + 0)/2
  EXPECT_DOUBLE_EQ(pseudo_gamma(p, seen, half, Criterion::overall), 0);  // 10 of 11, one below the first switch
}

TEST(NearestClassMeanTest, ByHand) {
  const Features training = {2, {1, 0, 3, 0, 0, 2}, {0, 0, 1}};
  const Features test = {2,
                         {5, 1,     // 0
                          1, 4,     // 1
                          1, 1,     // equally near to both: 0
                          -1, -2,   // 0 is nearer
                          1, 1,     // class 2 has no training image and never wins
                          NAN, 0},  // wrong
                         {0, 1, 1, 0, 2, 0}};
  const NcmResult r = nearest_class_mean(training, test, {true, false, false});
  EXPECT_DOUBLE_EQ(r.seen, 2.0 / 3);
  EXPECT_DOUBLE_EQ(r.unseen, 1.0 / 3);
  EXPECT_DOUBLE_EQ(r.overall, 0.5);
  EXPECT_EQ(r.class_samples, (std::vector<int64_t>{3, 2, 1}));
  EXPECT_EQ(r.class_correct, (std::vector<int64_t>{2, 1, 0}));
}

TEST(NearestClassMeanTest, TheMeanIsThatOfTheRawFeatures) {
  // Class 0's raw mean points along (10, 1), its normalised one along (1, 1); class 1's along (0, 1).
  const Features training = {2, {10, 0, 0, 1, 0, 1}, {0, 0, 1}};
  EXPECT_EQ(nearest_class_mean(training, {2, {1, 1.2f}, {1}}, {true, false}).overall, 1);
}

TEST(NearestClassMeanTest, AgainstTheDefinition) {
  std::mt19937 random(4);
  std::normal_distribution<float> normal;
  for (const int width : {1, 3, 33, 64}) {
    const int classes = 7;
    Features training{width, {}, {}}, test{width, {}, {}};
    for (auto [f, n] : {std::pair{&training, 60}, std::pair{&test, 200}})
      for (int i = 0; i < n; ++i) {
        f->labels.push_back(i % classes);
        for (int d = 0; d < width; ++d)
          f->values.push_back(normal(random) + (d % classes == i % classes ? 1.0f : 0.0f) + 0.3f);
      }
    Seen seen(classes);
    seen[0] = seen[3] = true;
    std::vector<int64_t> right(classes);
    for (int i = 0; i < 200; ++i) {
      long double best = -2;
      int winner = -1;
      for (int c = 0; c < classes; ++c) {
        std::vector<long double> mean(width);
        int n = 0;
        for (int k = 0; k < 60; ++k)
          if (training.labels[k] == c) {
            ++n;
            for (int d = 0; d < width; ++d) mean[d] += training.values[k * width + d];
          }
        long double dot = 0, x2 = 0, m2 = 0;
        for (int d = 0; d < width; ++d) {
          const long double x = test.values[i * width + d], m = mean[d] / n;
          dot += x * m, x2 += x * x, m2 += m * m;
        }
        // One feature: the cosine is +1 or −1, and ties are many.
        const long double cosine = width == 1 ? std::copysign(1.0L, dot) : dot / std::sqrt(x2 * m2);
        if (cosine > best) best = cosine, winner = c;
      }
      right[i % classes] += winner == i % classes;
    }
    EXPECT_EQ(nearest_class_mean(training, test, seen).class_correct, right) << width;
  }
}

TEST(NearestClassMeanTest, Refuses) {
  const Features good = {2, {1, 0}, {0}};
  const Seen seen = {true, false};
  EXPECT_ERROR(nearest_class_mean({2, {1}, {0}}, good, seen), "1 training images with 2 features each need 2 values");
  EXPECT_ERROR(nearest_class_mean({2, {}, {}}, good, seen), "no training images");
  EXPECT_ERROR(nearest_class_mean(good, {1, {1}, {0}}, seen), "2 training features, but 1 test features");
  EXPECT_ERROR(nearest_class_mean(good, {2, {1, 0}, {2}}, seen), "label 2 of test image 0");
  Features f;
  f.add(from(std::vector<float>{1, 2}, {1, 2}), from(std::vector<int64_t>{1}, {1}));
  f.add(from(std::vector<float>{3, 4}, {1, 2}), from(std::vector<int64_t>{0}, {1}));
  EXPECT_EQ(f.values, (std::vector<float>{1, 2, 3, 4}));
  EXPECT_EQ(f.labels, (std::vector<int64_t>{1, 0}));
  EXPECT_ERROR(f.add(zeros({1, 3}), from(std::vector<int64_t>{1}, {1})), "expected 2 of them");
}

TEST(SummaryTest, ByHand) {
  const Summary s = summarise({2, 4, 4, 6});
  EXPECT_DOUBLE_EQ(s.mean, 4);
  EXPECT_DOUBLE_EQ(s.std, std::sqrt(8.0 / 3));
  EXPECT_EQ(s.n, 4);
  EXPECT_DOUBLE_EQ(summarise({1e9 + 1, 1e9 + 2, 1e9 + 3}).std, 1);
  EXPECT_EQ(summarise({7}).std, 0);
  EXPECT_EQ(summarise({7}).mean, 7);
  EXPECT_EQ(summarise({}).n, 0);
  EXPECT_ERROR(summarise({1, NAN}), "value 1 of 2");
}

TEST(SummaryTest, PairsByHand) {
  const Paired p = paired_difference({0.7, 0.1 + 0.2, 0.5, 0.9}, {0.6, 0.3, 0.8, 0.5});
  EXPECT_EQ(p.won, 2);
  EXPECT_EQ(p.tied, 1);  // 0.1 + 0.2 ≠ 0.3 by rounding alone
  EXPECT_EQ(p.lost, 1);
  EXPECT_NEAR(p.difference.mean, 0.05, 1e-15);
  EXPECT_EQ(p.difference.n, 4);
  EXPECT_EQ(paired_difference({}, {}).difference.n, 0);
  EXPECT_ERROR(paired_difference({1}, {1, 2}), "1 values against 2");
  EXPECT_ERROR(paired_difference({NAN}, {1}), "value 0 of 1");
}

}  // namespace
}  // namespace holt::transfer
