// Schedules against their closed forms.
#include <gtest/gtest.h>

#include "nn/schedule.h"

namespace holt::nn {
namespace {

TEST(Schedule, Constant) {
  EXPECT_EQ(schedule::constant(0), 1);
  EXPECT_EQ(schedule::constant(1 << 30), 1);
}

TEST(Schedule, Step) {
  EXPECT_EQ(schedule::step(0, {}), 1);
  EXPECT_EQ(schedule::step(9, {10, 20}), 1);
  EXPECT_DOUBLE_EQ(schedule::step(10, {10, 20}), 0.1);
  EXPECT_DOUBLE_EQ(schedule::step(19, {10, 20}), 0.1);
  EXPECT_DOUBLE_EQ(schedule::step(20, {10, 20}), 0.01);
  EXPECT_DOUBLE_EQ(schedule::step(25, {10, 20}, 0.5), 0.25);
}

TEST(Schedule, CosineWithWarmup) {
  const schedule::Cosine c{.total = 110, .warmup = 10, .floor = 0.2};
  EXPECT_DOUBLE_EQ(schedule::cosine(0, c), 0.1);
  EXPECT_DOUBLE_EQ(schedule::cosine(4, c), 0.5);
  EXPECT_DOUBLE_EQ(schedule::cosine(9, c), 1);
  EXPECT_DOUBLE_EQ(schedule::cosine(10, c), 1);
  EXPECT_NEAR(schedule::cosine(35, c), 0.2 + 0.8 * (1 + std::sqrt(0.5)) / 2, 1e-15);  // a quarter: cos 45°
  EXPECT_NEAR(schedule::cosine(60, c), 0.6, 1e-15);
  EXPECT_NEAR(schedule::cosine(85, c), 0.2 + 0.8 * (1 - std::sqrt(0.5)) / 2, 1e-15);
  EXPECT_DOUBLE_EQ(schedule::cosine(110, c), 0.2);
  EXPECT_DOUBLE_EQ(schedule::cosine(1000, c), 0.2);
  for (int64_t t = 11; t < 110; ++t) EXPECT_LT(schedule::cosine(t, c), schedule::cosine(t - 1, c)) << t;
}

TEST(Schedule, CosineWithoutWarmupEndsAtZero) {
  EXPECT_EQ(schedule::cosine(0, {.total = 8}), 1);
  EXPECT_NEAR(schedule::cosine(4, {.total = 8}), 0.5, 1e-15);
  EXPECT_EQ(schedule::cosine(8, {.total = 8}), 0);
  EXPECT_EQ(schedule::cosine(3, {.total = 3, .warmup = 3}), 0);
}

TEST(Schedule, Errors) {
  EXPECT_THROW(schedule::cosine(0, {.total = 0}), Error);
  EXPECT_THROW(schedule::cosine(0, {.total = 5, .warmup = 6}), Error);
}

}  // namespace
}  // namespace holt::nn
