// The cpu's own weight gradient of convolutions, beyond the right numbers (tests/cases/conv2d.h): the same bits for any
// number of threads.
#include "kernels/weight_sums.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "kernels/onednn.h"
#include "tests/harness/kernel_inputs.h"

namespace holt {
namespace {

using test::random_values;
using test::Threads;

template <class T>
void expect_same_bits(const Conv2d& p) {
  if (!onednn::computes(dtype_of<T>) || !weight_sums::suits<T>(p)) GTEST_SKIP() << "not for this processor";
  const auto x = random_values<T>(p.x_size(), 1), dy = random_values<T>(p.y_size(), 2);
  std::vector<T> first;
  for (int n : {1, 2, 3, 4}) {
    const Threads threads(n);
    std::vector<T> dw(static_cast<size_t>(p.w_size()));
    conv2d_backward_weights(Cpu{}, p, dy.data(), x.data(), dw.data());
    if (first.empty()) first = dw;
    EXPECT_EQ(std::memcmp(first.data(), dw.data(), dw.size() * sizeof(T)), 0) << n << " threads";
  }
}

// Many panels of columns, which the threads share; few, where they share the output channels.
Conv2d many() { return {.n = 3, .h = 17, .w = 17, .cin = 64, .cout = 48, .kh = 3, .kw = 3, .pad_h = 1, .pad_w = 1}; }
Conv2d few() {
  return {.n = 4, .h = 33, .w = 33, .cin = 16, .cout = 64, .kh = 3, .kw = 3, .stride_h = 2, .stride_w = 2};
}

TEST(WeightSums, SameBitsForAnyNumberOfThreads) {
  expect_same_bits<float>(many());
  expect_same_bits<float>(few());
}
TEST(WeightSums, SameBitsForAnyNumberOfThreadsInBf16) {
  expect_same_bits<bf16>(many());
  expect_same_bits<bf16>(few());
}

TEST(WeightSums, LeavesOtherShapesToOneDnn) {
  Conv2d p = many();
  p.cin = 8;
  EXPECT_FALSE(weight_sums::suits<float>(p));
  p = many();
  p.cout = 24;
  EXPECT_FALSE(weight_sums::suits<float>(p));
}

}  // namespace
}  // namespace holt
