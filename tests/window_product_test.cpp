// Convolutions as a product with gathered windows: the numbers of the definition in double, the same bits for any
// number of threads. On every processor, also where conv2d.cpp takes other ways.
#include "kernels/window_product.h"

#include <gtest/gtest.h>

#include <cstring>

#include "tests/harness/exact.h"
#include "tests/harness/kernel_inputs.h"

namespace holt {
namespace {

using test::error;
using test::exact;
using test::random_values;
using test::Threads;

template <class T>
void expect_right(const Conv2d& p) {
  const auto x = random_values<T>(p.x_size(), 1), w = random_values<T>(p.w_size(), 2),
             dy = random_values<T>(p.y_size(), 3);
  const auto scale = random_values<float>(p.cout, 4), shift = random_values<float>(p.cout, 5);
  std::vector<T> y(dy.size()), affine(dy.size()), dw(w.size());
  const auto run = [&](std::vector<T>& plain, std::vector<T>& scaled, std::vector<T>& weights) {
    window_product::conv2d_forward<T, T>(p, x.data(), w.data(), nullptr, nullptr, plain.data());
    Conv2d with_relu = p;
    with_relu.relu = true;
    window_product::conv2d_forward<T, T>(with_relu, x.data(), w.data(), scale.data(), shift.data(), scaled.data());
    window_product::conv2d_backward_weights(p, dy.data(), x.data(), weights.data());
  };
  run(y, affine, dw);
  const auto x64 = exact(x), w64 = exact(w), dy64 = exact(dy);
  std::vector<double> want(y.size()), want_dw(dw.size());
  holt::conv2d_forward(Cpu{}, p, x64.data(), w64.data(), static_cast<const double*>(nullptr), want.data());
  holt::conv2d_backward_weights(Cpu{}, p, dy64.data(), x64.data(), want_dw.data());
  const int64_t window = p.kh * p.kw * p.cin;
  EXPECT_LE(error(y, want, window), 1);
  EXPECT_LE(error(dw, want_dw, p.n * p.out_h() * p.out_w()), 1);
  for (size_t i = 0; i < want.size(); ++i) {
    const size_t o = i % static_cast<size_t>(p.cout);
    want[i] = std::max(0.0, scale[o] * want[i] + shift[o]);
  }
  EXPECT_LE(error(affine, want, window + 1), 1);
  for (int n : {1, 2, 3, 4}) {
    const Threads threads(n);
    std::vector<T> y_again(y.size()), affine_again(y.size()), dw_again(dw.size());
    run(y_again, affine_again, dw_again);
    EXPECT_EQ(std::memcmp(y_again.data(), y.data(), y.size() * sizeof(T)), 0) << n << " threads";
    EXPECT_EQ(std::memcmp(affine_again.data(), affine.data(), y.size() * sizeof(T)), 0) << n << " threads";
    EXPECT_EQ(std::memcmp(dw_again.data(), dw.data(), dw.size() * sizeof(T)), 0) << n << " threads";
  }
}

class WindowShapes : public testing::TestWithParam<Conv2d> {};
TEST_P(WindowShapes, F32) { expect_right<float>(GetParam()); }
TEST_P(WindowShapes, Bf16) { expect_right<bf16>(GetParam()); }
TEST_P(WindowShapes, F16) { expect_right<f16>(GetParam()); }
INSTANTIATE_TEST_SUITE_P(
    , WindowShapes,
    testing::Values(Conv2d{2, 17, 15, 32, 48, 3, 3, 2, 2, 1, 1},  // several steps along k in both directions
                    Conv2d{1, 7, 9, 3, 20, 7, 7, 2, 2, 3, 3},     // columns that do not fill vectors; wide padding
                    Conv2d{1, 6, 5, 256, 8, 3, 3, 1, 2, 0, 1},    // more columns of dw than kWide
                    Conv2d{3, 13, 12, 16, 24, 1, 1, 2, 2, 0, 0},  // only some pixels are read
                    Conv2d{1, 3, 3, 5, 7, 3, 3, 1, 1, 2, 2},      // everything smaller than a tile; full padding
                    Conv2d{1, 40, 4, 8, 130, 2, 4, 3, 1, 0, 2},   // a window as wide as the image
                    Conv2d{1, 5, 5, 4, 300, 5, 5, 1, 1, 0, 0}),   // one pixel of y, its window the image
    [](const auto& info) { return "shape" + std::to_string(info.index); });

}  // namespace
}  // namespace holt
