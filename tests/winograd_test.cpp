// Winograd's convolutions: the numbers of the definition in double, to the tolerance that every convolution is held to
// (tests/harness), for all ways of sharing the work; the same bits for any number of threads.
#include "kernels/winograd.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "tests/harness/exact.h"
#include "tests/harness/expect_error.h"
#include "tests/harness/kernel_inputs.h"

namespace holt {
namespace {

using test::error;
using test::exact;
using test::random_values;
using test::Threads;
using winograd::Pass;

// One shape in T: operands, and what the three passes make of them.
template <class T>
struct Problem {
  explicit Problem(const Conv2d& shape)
      : p(shape),
        x(random_values<T>(p.x_size(), 1)),
        w(random_values<T>(p.w_size(), 2)),
        bias(random_values<T>(p.cout, 3)),
        dy(random_values<T>(p.y_size(), 4)),
        y(dy.size()),
        dx(x.size()),
        dw(w.size()) {
    conv2d_forward(Cpu{}, p, x.data(), w.data(), bias.data(), y.data());
    conv2d_backward_data(Cpu{}, p, dy.data(), w.data(), dx.data());
    conv2d_backward_weights(Cpu{}, p, dy.data(), x.data(), dw.data());
  }
  Conv2d p;
  std::vector<T> x, w, bias, dy, y, dx, dw;
};

template <class T>
void expect_winograd(const Conv2d& p) {
  for (Pass pass : {Pass::forward, Pass::backward_data, Pass::backward_weights})
    ASSERT_TRUE(winograd::suits<float>(p, pass));
  const Problem<T> got(p);
  std::vector<double> y(got.y.size()), dx(got.dx.size()), dw(got.dw.size());
  const std::vector<double> x = exact(got.x), w = exact(got.w), dy = exact(got.dy), bias = exact(got.bias);
  conv2d_forward(Cpu{}, p, x.data(), w.data(), bias.data(), y.data());
  conv2d_backward_data(Cpu{}, p, dy.data(), w.data(), dx.data());
  conv2d_backward_weights(Cpu{}, p, dy.data(), x.data(), dw.data());
  EXPECT_LE(error(got.y, y, 9 * p.cin + 1), 1);
  EXPECT_LE(error(got.dx, dx, 9 * p.cout), 1);
  EXPECT_LE(error(got.dw, dw, p.n * p.out_h() * p.out_w()), 1);
  for (int n : {1, 2, 3, 4}) {
    const Threads threads(n);
    const Problem<T> again(p);
    EXPECT_EQ(std::memcmp(again.y.data(), got.y.data(), got.y.size() * sizeof(T)), 0) << n << " threads";
    EXPECT_EQ(std::memcmp(again.dx.data(), got.dx.data(), got.dx.size() * sizeof(T)), 0) << n << " threads";
    EXPECT_EQ(std::memcmp(again.dw.data(), got.dw.data(), got.dw.size() * sizeof(T)), 0) << n << " threads";
  }
}

Conv2d same(int64_t n, int64_t h, int64_t w, int64_t cin, int64_t cout) {
  return {n, h, w, cin, cout, 3, 3, 1, 1, 1, 1};
}

class Shapes : public testing::TestWithParam<Conv2d> {};
TEST_P(Shapes, F32) { expect_winograd<float>(GetParam()); }
TEST_P(Shapes, Bf16) { expect_winograd<bf16>(GetParam()); }
INSTANTIATE_TEST_SUITE_P(Winograd, Shapes,
                         testing::Values(same(1, 16, 16, 32, 32),   // whole tiles only, by channels
                                         same(16, 7, 7, 32, 96),    // a row and a column beyond the image
                                         same(9, 22, 21, 32, 64),   // by tiles; weight gradients in two parts
                                         same(1, 14, 15, 128, 32),  //
                                         same(1, 3, 64, 32, 32),    // one row of tiles, higher than the image
                                         Conv2d{2, 9, 40, 64, 32, 3, 3, 1, 1, 0, 2},  // padding per axis: none and full
                                         Conv2d{5, 24, 24, 32, 32, 3, 3, 1, 1, 2, 0}),  //
                         [](const auto& info) { return "shape" + std::to_string(info.index); });

TEST(Winograd, EpilogueIsThatOfTheDirectConvolution) {
  const Conv2d shape = same(2, 15, 13, 32, 64);
  for (bool relu : {false, true})
    for (bool residual : {false, true}) {
      Conv2d p = shape;
      p.relu = relu;
      const auto x = random_values<float>(p.x_size(), 1), w = random_values<float>(p.w_size(), 2),
                 r = random_values<float>(p.y_size(), 3), scale = random_values<float>(p.cout, 4),
                 shift = random_values<float>(p.cout, 5);
      std::vector<float> y(r.size());
      conv2d_affine(Cpu{}, p, x.data(), w.data(), scale.data(), shift.data(), residual ? r.data() : nullptr, y.data());
      std::vector<double> want(y.size());
      const auto x64 = exact(x), w64 = exact(w);
      conv2d_forward(Cpu{}, shape, x64.data(), w64.data(), static_cast<const double*>(nullptr), want.data());
      for (size_t i = 0; i < want.size(); ++i) {
        const size_t o = i % 64;
        want[i] = scale[o] * want[i] + shift[o] + (residual ? r[i] : 0);
        if (relu) want[i] = std::max(want[i], 0.0);
      }
      EXPECT_LE(error(y, want, 9 * p.cin + 2), 1) << "relu " << relu << ", residual " << residual;
    }
}

// U that was kept: the same bits, whatever the order of work, also for images of another size.
template <class T>
void expect_kept() {
  const auto w = random_values<float>(64 * 9 * 32, 2), scale = random_values<float>(64, 3),
             shift = random_values<float>(64, 4);
  Packed packed;
  for (int64_t n : {16, 4, 3}) {  // by tiles, by channels, and with direct bf16
    const Conv2d p = same(n, 15, 13, 32, 64);
    const auto x = random_values<T>(p.x_size(), n);
    std::vector<T> once(p.y_size()), first(once), again(once);
    conv2d_affine<T>(Cpu{}, p, x.data(), w.data(), scale.data(), shift.data(), nullptr, once.data());
    for (std::vector<T>* y : {&first, &again})
      conv2d_affine<T>(Cpu{}, p, x.data(), w.data(), scale.data(), shift.data(), nullptr, y->data(), &packed);
    EXPECT_EQ(std::memcmp(first.data(), once.data(), once.size() * sizeof(T)), 0) << n;
    EXPECT_EQ(std::memcmp(again.data(), once.data(), once.size() * sizeof(T)), 0) << n;
  }
}
TEST(Winograd, KeepsU) {
  expect_kept<float>();
  expect_kept<bf16>();
}

TEST(Winograd, TakesNothingElse) {
  const auto suits = [](Conv2d p) { return winograd::suits<float>(p, Pass::forward); };
  const Conv2d good = same(1, 16, 16, 32, 32);
  EXPECT_TRUE(suits(good));
#if defined(__AVX512BF16__)
  EXPECT_FALSE(winograd::suits<bf16>(good, Pass::forward));  // its direct product is faster
#endif
  for (const auto& change : std::vector<void (*)(Conv2d&)>{
           [](Conv2d& p) { p.kh = p.kw = 5; }, [](Conv2d& p) { p.kw = 1; }, [](Conv2d& p) { p.stride_h = 2; },
           [](Conv2d& p) { p.dilation_w = 2; }, [](Conv2d& p) { p.groups = 2; }, [](Conv2d& p) { p.pad_h = 3; },
           [](Conv2d& p) { p.cin = 24; }, [](Conv2d& p) { p.cout = 40; }, [](Conv2d& p) { p.h = 8; }}) {
    Conv2d p = good;
    change(p);
    EXPECT_FALSE(suits(p));
  }
}

struct Variable {
  explicit Variable(const char* value) { setenv("HOLT_WINOGRAD", value, 1); }
  ~Variable() { unsetenv("HOLT_WINOGRAD"); }
};

TEST(Winograd, IsSwitchedByTheEnvironment) {
  const Conv2d p = same(1, 16, 16, 32, 32);
  {
    const Variable off("0");
    EXPECT_FALSE(winograd::suits<float>(p, Pass::forward));
  }
  {
    const Variable wrong("no");
    EXPECT_ERROR(winograd::suits<float>(p, Pass::forward), "HOLT_WINOGRAD: expected 0");
  }
  EXPECT_TRUE(winograd::suits<float>(p, Pass::forward));
}

}  // namespace
}  // namespace holt
