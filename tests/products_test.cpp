// What matmul, linear and conv2d refuse, and what their backward keeps.
#include <gtest/gtest.h>

#include "core/autograd.h"
#include "core/ops.h"

namespace holt {
namespace {

// The message of the Error that f throws; "" if it throws none.
template <class F>
std::string error(F&& f) {
  try {
    f();
  } catch (const Error& e) { return e.message(); }
  return "";
}

void expect_mentions(const std::string& text, std::initializer_list<const char*> words) {
  for (const char* word : words) EXPECT_NE(text.find(word), std::string::npos) << word << " is not in: " << text;
}

TEST(Matmul, NamesShapesThatDoNotFit) {
  expect_mentions(error([] { matmul(zeros({2, 3}), zeros({4, 5})); }), {"matmul:", "[2, 3]", "[4, 5]"});
  expect_mentions(error([] { matmul(zeros({2, 3}), zeros({3, 5}), true); }), {"matmul:", "transposed"});
  expect_mentions(error([] { matmul(zeros({2, 2, 3}), zeros({3, 3, 5})); }), {"matmul: batch", "[2, 2, 3]"});
  expect_mentions(error([] { matmul(zeros({6, 2, 3}), zeros({2, 3, 3, 5})); }), {"matmul: batch"});
  expect_mentions(error([] { matmul(zeros({3}), zeros({3, 5})); }), {"matmul:", "two axes", "[3]"});
  expect_mentions(error([] { matmul(zeros({2, 3}), zeros({3, 5}, DType::bf16)); }), {"matmul:", "bf16"});
  expect_mentions(error([] { matmul(zeros({2, 3}, DType::i64), zeros({3, 5}, DType::i64)); }), {"matmul:", "i64"});
}

TEST(Linear, NamesShapesThatDoNotFit) {
  expect_mentions(error([] { linear(zeros({2, 3}), zeros({5, 4})); }), {"linear:", "[2, 3]", "[5, 4]"});
  expect_mentions(error([] { linear(zeros({2, 3}), zeros({3})); }), {"linear: weight", "[3]"});
  expect_mentions(error([] { linear(zeros({2, 3}), zeros({5, 3}), zeros({3})); }), {"linear: bias", "[5]", "[3]"});
  expect_mentions(error([] { linear(zeros({2, 3}), zeros({5, 3}, DType::f16)); }), {"linear: weight", "f16"});
}

TEST(Conv2d, NamesShapesThatDoNotFit) {
  const Tensor x = zeros({1, 4, 4, 3});
  expect_mentions(error([&] { conv2d(x, zeros({8, 3, 3, 4})); }), {"conv2d: weight", "[8, 3, 3, 4]"});
  expect_mentions(error([&] { conv2d(x, zeros({8, 5, 5, 3})); }), {"conv2d:", "window", "padding 0"});
  expect_mentions(error([&] { conv2d(x, zeros({8, 3, 3, 3}), zeros({3})); }), {"conv2d: bias", "[8]"});
  expect_mentions(error([&] { conv2d(x, zeros({8, 3, 3, 3}), {}, {.stride = 0}); }), {"conv2d: stride"});
  expect_mentions(error([&] { conv2d(x, zeros({8, 3, 3, 3}), {}, {.padding = -1}); }), {"conv2d:", "padding -1"});
  expect_mentions(error([&] { conv2d(x, zeros({8, 3, 3, 3}), {}, {.dilation = 0}); }), {"conv2d: stride and dilation"});
  expect_mentions(error([&] {
                    conv2d(x, zeros({8, 2, 2, 3}), {}, {.dilation = 4});
                  }),
                  {"conv2d: the window", "dilation 4"});
  expect_mentions(error([&] { conv2d(x, zeros({8, 3, 3, 3}), {}, {.groups = 2}); }), {"conv2d: groups", "got 2"});
  expect_mentions(error([&] {
                    conv2d(x, zeros({6, 3, 3, 3}), {}, {.groups = 3});
                  }),
                  {"conv2d: weight", "[Cout, KH, KW, 1]", "in 3 groups"});
  expect_mentions(error([&] { conv2d(x, zeros({8, 3, 3, 1}), {}, {.groups = 3}); }), {"conv2d: groups must divide"});
  expect_mentions(error([&] { conv2d(zeros({4, 4, 3}), zeros({8, 3, 3, 3})); }), {"conv2d: x", "[4, 4, 3]"});
}

// A backward keeps only what the wanted gradients need: writing to the rest in between is not an error.
TEST(Products, KeepOnlyWhatTheBackwardNeeds) {
  const auto frozen_weight = [](const Tensor& x, const Tensor& w, const Tensor& y) {
    x.bump_version();  // x would be needed for dw alone
    EXPECT_NO_THROW(sum(y).backward());
    EXPECT_TRUE(x.grad().defined());
    EXPECT_FALSE(w.grad().defined());
  };
  {
    const Tensor x = full({2, 3}, 1).requires_grad_(), w = full({4, 3}, 2);
    frozen_weight(x, w, linear(x, w));
  }
  {
    const Tensor x = full({2, 3}, 1).requires_grad_(), w = full({3, 4}, 2);
    frozen_weight(x, w, matmul(x, w));
  }
  {
    const Tensor x = full({1, 3, 3, 2}, 1).requires_grad_(), w = full({4, 3, 3, 2}, 2);
    frozen_weight(x, w, conv2d(x, w));
  }
  const Tensor x = full({2, 3}, 1).requires_grad_(), w = full({4, 3}, 2);
  const Tensor y = linear(x, w);
  w.bump_version();
  expect_mentions(error([&] { sum(y).backward(); }), {"linear"});
}

}  // namespace
}  // namespace holt
