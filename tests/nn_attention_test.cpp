// Multi-head attention and the transformer block that it makes, against the same from elementary ops.
#include <gtest/gtest.h>

#include <cmath>

#include "core/autograd.h"
#include "kernels/parallel.h"
#include "nn/attention.h"
#include "tests/harness/expect_error.h"

namespace holt {
namespace {

void expect_close(const Tensor& got, const Tensor& want, double tolerance) {
  ASSERT_EQ(got.shape(), want.shape());
  const auto a = got.to_vector<double>(), b = want.to_vector<double>();
  double rms = 0;
  for (const double x : b) rms += x * x / static_cast<double>(b.size());
  for (size_t i = 0; i < a.size(); ++i)
    ASSERT_TRUE(std::abs(a[i] - b[i]) <= tolerance * std::max(std::abs(b[i]), std::sqrt(rms)))
        << "element " << i << ": " << a[i] << " and " << b[i];
}

// softmax(q·kᵀ/√D)·v from permutes, products and a softmax.
Tensor elementary(nn::MultiHeadAttention& m, const Tensor& x) {
  const int64_t B = x.size(0), T = x.size(1), D = m.features() / m.heads;
  const Tensor qkv = permute(m.qkv(x).reshape({B, T, 3, m.heads, D}), {2, 0, 3, 1, 4});  // [3, B, H, T, D]
  const auto part = [&](int64_t i) { return qkv.narrow(i, 1).reshape({B, m.heads, T, D}); };
  const Tensor weights = softmax(matmul(part(0), part(1), false, true) * (1 / std::sqrt(static_cast<double>(D))));
  return m.proj(permute(matmul(weights, part(2)), {0, 2, 1, 3}).reshape({B, T, m.features()}));
}

std::vector<Tensor> gradients(nn::Module& m, const Tensor& loss) {
  m.zero_grad();
  loss.backward();
  std::vector<Tensor> all;
  for (const Tensor& p : m.parameters()) all.push_back(p.grad());
  return all;
}

TEST(MultiHeadAttention, IsWhatElementaryOpsMake) {
  Generator g(1);
  for (const auto& [heads, features, bias] : {std::tuple{3, 48, true}, {1, 64, false}}) {
    nn::MultiHeadAttention m(features, heads, g, {bias});
    const Tensor x = normal({2, 21, features}, 0, 1, g);
    const Tensor y = m(x), want = elementary(m, x);
    expect_close(y, want, 1e-5);
    const auto got = gradients(m, sum(square(y))), expected = gradients(m, sum(square(want)));
    for (size_t i = 0; i < got.size(); ++i) expect_close(got[i], expected[i], 1e-4);
  }
}

TEST(MultiHeadAttention, NamesLabelAndErrors) {
  Generator g(1);
  nn::MultiHeadAttention m(64, 4, g);
  std::string names;
  for (const auto& [name, tensor] : m.named_parameters()) names += name + " ";
  EXPECT_EQ(names, "qkv.weight qkv.bias proj.weight proj.bias ");
  EXPECT_EQ(m.label(), "MultiHeadAttention(64, 4 heads)");
  EXPECT_ERROR(nn::MultiHeadAttention(60, 7, g), "60 features and 7 heads");
  EXPECT_ERROR(nn::MultiHeadAttention(36, 3, g), "heads of 12");
  EXPECT_ERROR(m(normal({2, 64}, 0, 1, g)), "[B, T, 64]");
}

// 2100 keys: dq is a sum of three chunks'.
TEST(Attention, BitsDoNotDependOnTheNumberOfThreads) {
  for (const DType t : {DType::f32, DType::bf16}) {
    const auto run = [&](int threads) {
      const ThreadLimit limit(threads);
      Generator g(3);
      const Tensor q = normal({1, 150, 2, 32}, 0, 1, g, t).requires_grad_(),
                   k = normal({1, 2100, 2, 32}, 0, 1, g, t).requires_grad_(),
                   v = normal({1, 2100, 2, 32}, 0, 1, g, t).requires_grad_();
      const Tensor o = attention(q, k, v);
      o.backward(normal(o.shape(), 0, 1, g, t));
      return std::array{o.to_vector<double>(), q.grad().to_vector<double>(), k.grad().to_vector<double>(),
                        v.grad().to_vector<double>()};
    };
    EXPECT_EQ(run(1), run(3)) << to_string(t);
  }
}

struct Results {
  std::vector<double> o, dq, dk, dv;
  bool operator==(const Results&) const = default;
};

// Of 37 queries and 21 keys, both odd, in one head of 8; `spoil` may change q, k, v and o's gradient.
template <class F>
Results with_spoilt(DType t, F&& spoil) {
  constexpr int64_t kQueries = 37, kKeys = 21, kSize = 8;
  Generator g(4);
  std::array<std::vector<float>, 4> x;
  for (size_t i = 0; i < 4; ++i)
    x[i] = normal({i % 3 == 0 ? kQueries : kKeys, kSize}, 0, 1, g).template to_vector<float>();
  spoil(x[0], x[1], x[2], x[3]);
  const auto made = [&](size_t i) { return from(x[i], {1, i % 3 == 0 ? kQueries : kKeys, 1, kSize}).to(t); };
  const Tensor q = made(0).requires_grad_(), k = made(1).requires_grad_(), v = made(2).requires_grad_();
  const Tensor o = attention(q, k, v);
  o.backward(made(3));
  return {o.to_vector<double>(), q.grad().to_vector<double>(), k.grad().to_vector<double>(),
          v.grad().to_vector<double>()};
}

// Expects NaN exactly where at(row, column) says so.
template <class F>
void expect_nan(const std::vector<double>& x, const char* name, F&& at) {
  for (size_t i = 0; i < x.size(); ++i) EXPECT_EQ(std::isnan(x[i]), at(i / 8, i % 8)) << name << "'s element " << i;
}

// Rows are taken in pairs, the last with a row of zeros, in memory that keeps what was there before.
TEST(Attention, NaNReachesWhatDependsOnItAndNothingElse) {
  using X = std::vector<float>;
  for (const DType t : {DType::f32, DType::bf16}) {
    SCOPED_TRACE(to_string(t));
    const auto nothing = [](X&, X&, X&, X&) {};
    const auto all = [](size_t, size_t) { return true; };
    const Results clean = with_spoilt(t, nothing);
    for (const std::vector<double>& x : {clean.o, clean.dq, clean.dk, clean.dv})
      expect_nan(x, "clean", [](size_t, size_t) { return false; });
    for (const size_t row : {5, 36}) {
      const auto in_row = [&](size_t r, size_t) { return r == row; };
      Results got = with_spoilt(t, [&](X& q, X&, X&, X&) { q[row * 8 + 3] = NAN; });
      expect_nan(got.o, "o", in_row);
      expect_nan(got.dq, "dq", in_row);
      expect_nan(got.dk, "dk", all);
      expect_nan(got.dv, "dv", all);
      got = with_spoilt(t, [&](X&, X&, X&, X& dout) { dout[row * 8 + 3] = NAN; });
      EXPECT_EQ(got.o, clean.o);
      expect_nan(got.dq, "dq", in_row);
      expect_nan(got.dk, "dk", all);
      expect_nan(got.dv, "dv", [](size_t, size_t column) { return column == 3; });
    }
    for (const size_t row : {4, 20}) {
      const Results key = with_spoilt(t, [&](X&, X& k, X&, X&) { k[row * 8 + 3] = NAN; });
      for (const std::vector<double>& x : {key.o, key.dq, key.dk, key.dv}) expect_nan(x, "of a key", all);
      const Results value = with_spoilt(t, [&](X&, X&, X& v, X&) { v[row * 8 + 3] = INFINITY; });
      for (size_t i = 0; i < value.o.size(); ++i) EXPECT_EQ(std::isinf(value.o[i]), i % 8 == 3) << i;
    }
    EXPECT_EQ(with_spoilt(t, nothing), clean);
    // Scores of −102: e^−lse of a key that is not there overflows.
    const Results low = with_spoilt(t, [](X& q, X& k, X&, X&) {
      std::fill(q.begin(), q.end(), -6.0f);
      std::fill(k.begin(), k.end(), 6.0f);
    });
    for (const double x : low.dq) EXPECT_TRUE(std::abs(x) < 1) << x;
  }
}

// add_layer_norm → qkv → attention → proj → add_layer_norm → linear + gelu → linear, with the stream beside it.
TEST(TransformerBlock, FusedResidualsAreAddAndLayerNorm) {
  Generator g(2);
  nn::MultiHeadAttention m(32, 2, g);
  nn::LayerNorm norm(32), norm2(32);
  nn::Linear up(32, 64, g), down(64, 32, g);
  const Tensor w = normal({2, 9, 32}, 0, 1, g);
  const auto run = [&](bool fused) {
    Tensor x = w.clone(), r = mul(w, 0.5).clone();
    x.requires_grad_();
    r.requires_grad_();
    const auto add_norm = [&](const Tensor& a, const Tensor& b, nn::LayerNorm& n) {
      if (fused) return add_layer_norm(a, b, n.weight, n.bias, n.eps);
      const Tensor total = a + b;
      return std::pair{n(total), total};
    };
    const auto [y, stream] = add_norm(x, r, norm);
    const auto [y2, stream2] = add_norm(m(y), stream, norm2);
    const Tensor out = down(up(y2, Activation::gelu)) + stream2;
    sum(square(out)).backward();
    return std::array{out, x.grad(), r.grad()};
  };
  const auto fused = run(true), plain = run(false);
  for (size_t i = 0; i < fused.size(); ++i) expect_close(fused[i], plain[i], 1e-5);
  EXPECT_ERROR(add_layer_norm(w, w.narrow(0, 1), norm.weight, norm.bias), "add_layer_norm: residual");
}

}  // namespace
}  // namespace holt
