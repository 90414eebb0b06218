// What oneDNN's users in kernels/ promise beyond right numbers: primitives kept by shape, safe from many threads, and a
// warm step that asks the system for nothing.
#include "kernels/onednn.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <limits>
#include <thread>
#include <vector>

#include "kernels/memory.h"
#include "tests/harness/kernel_inputs.h"

namespace holt {
namespace {

using test::random_values;

// One layer's forward and both gradients.
struct ConvLayer {
  Conv2d p{.n = 4, .h = 14, .w = 14, .cin = 16, .cout = 32, .kh = 3, .kw = 3, .pad_h = 1, .pad_w = 1};
  std::vector<float> x = random_values<float>(p.x_size(), 1), w = random_values<float>(p.w_size(), 2),
                     y = random_values<float>(p.y_size(), 3), dy = y, dx = x, dw = w;
  void step() {
    conv2d_forward(Cpu{}, p, x.data(), w.data(), static_cast<const float*>(nullptr), y.data());
    conv2d_backward_data(Cpu{}, p, dy.data(), w.data(), dx.data());
    conv2d_backward_weights(Cpu{}, p, dy.data(), x.data(), dw.data());
  }
};

std::vector<float> product(int64_t m, int64_t n, int64_t k) {
  const auto a = random_values<float>(m * k, 4), b = random_values<float>(k * n, 5);
  std::vector<float> c(m * n);
  matmul(Cpu{}, Matmul{.batch = 1, .m = m, .n = n, .k = k}, a.data(), b.data(), static_cast<const float*>(nullptr),
         c.data(), static_cast<float*>(nullptr));
  return c;
}

TEST(OneDnn, AWarmStepAsksTheSystemForNothing) {
  ConvLayer layer;
  for (int i = 0; i < 3; ++i) layer.step();
  const size_t allocations = memory_stats(Device::cpu).system_allocations, current = memory_stats(Device::cpu).current;
  // The least of several rounds: the system itself may take pages from a busy machine's processes now and then.
  long faults = std::numeric_limits<long>::max();
  for (int round = 0; round < 5; ++round) {
    rusage before, after;
    getrusage(RUSAGE_SELF, &before);
    for (int i = 0; i < 100; ++i) layer.step();
    getrusage(RUSAGE_SELF, &after);
    faults = std::min(faults, after.ru_minflt - before.ru_minflt);
  }
  EXPECT_EQ(memory_stats(Device::cpu).system_allocations, allocations);
  EXPECT_EQ(memory_stats(Device::cpu).current, current);
#if !defined(__SANITIZE_ADDRESS__)  // its quarantine gives every small allocation new pages
  EXPECT_LT(faults, 20);            // a page fault in each step would be 100
#else
  static_cast<void>(faults);
#endif
}

TEST(OneDnn, ThreadsShareThePrimitives) {
  ConvLayer expected;
  expected.step();
  const std::vector<float> c = product(33, 17, 65);
  std::vector<std::thread> threads;
  std::vector<int> wrong(4, -1);
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      ConvLayer mine;
      wrong[t] = 0;
      for (int i = 0; i < 50; ++i) {
        std::fill(mine.dw.begin(), mine.dw.end(), -1.0f);
        mine.step();
        wrong[t] +=
            mine.y != expected.y || mine.dx != expected.dx || mine.dw != expected.dw || product(33, 17, 65) != c;
      }
    });
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(wrong, std::vector<int>(4, 0));
}

TEST(OneDnn, MoreShapesThanAreKept) {
  const std::vector<float> first = product(3, 4, 5);
  for (int64_t i = 1; i <= 2200; ++i) product(1 + i % 50, 1 + i / 50, 2);
  EXPECT_EQ(product(3, 4, 5), first);
}

TEST(OneDnn, ComputesF32Always) {
  EXPECT_TRUE(onednn::computes(DType::f32));
  EXPECT_FALSE(onednn::computes(DType::f16));
  EXPECT_FALSE(onednn::computes(DType::f64));
  EXPECT_NE(onednn::version().find('.'), std::string::npos);
}

}  // namespace
}  // namespace holt
