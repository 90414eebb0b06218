// Holt's own parts, +align and +gate, against their formulas in double precision.
#include "tests/harness/method_fixture.h"

namespace holt::transfer {
namespace {

TEST_F(MethodsTest, CorrectionOfZerosIsTheIdentity) {
  Generator g(1);
  for (const int64_t channels : {1, 3}) {
    const Tensor x = uniform({2, 7, 9, channels}, -1, 2, g);
    Correction correction(std::vector<float>(channels, -1));
    int64_t numbers = 0;
    for (const auto& [name, p] : correction.named_parameters()) numbers += p.numel();
    EXPECT_EQ(numbers, 35);
    const std::vector<float> a = x.to_vector<float>(), b = correction(x).to_vector<float>();
    for (size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a[i], b[i], 1e-6);
  }
}

// Its formula, one factor at a time.
TEST_F(MethodsTest, CorrectionByHand) {
  Generator g(2);
  const Tensor x = uniform({1, 6, 5, 2}, 0, 1, g);
  const std::vector<float> v = x.to_vector<float>(), x0 = {-0.5f, 0.25f};
  const auto at = [&](int64_t i, int64_t j, int64_t c) -> double {
    return i < 0 || j < 0 || i >= 6 || j >= 5 ? 0.0 : static_cast<double>(v[(i * 5 + j) * 2 + c]) - x0[c];
  };
  Correction filter(x0), contrast(x0), move(x0);
  const std::vector<float> kernel = normal({25}, 0, 0.2, g).to_vector<float>();
  std::copy(kernel.begin(), kernel.end(), filter.kernel.data<float>());
  contrast.contrast.data<float>()[0] = 0.3f, contrast.contrast.data<float>()[1] = -0.2f;
  move.projection.data<float>()[2] = 2.0f / 5;  // X grows by one pixel: what was right comes here
  const std::vector<float> filtered = filter(x).to_vector<float>(), contrasted = contrast(x).to_vector<float>(),
                           moved = move(x).to_vector<float>();
  for (int64_t i = 0; i < 6; ++i)
    for (int64_t j = 0; j < 5; ++j)
      for (int64_t c = 0; c < 2; ++c) {
        double u = at(i, j, c);
        for (int64_t a = 0; a < 5; ++a)
          for (int64_t b = 0; b < 5; ++b) u += kernel[a * 5 + b] * at(i + a - 2, j + b - 2, c);
        const int64_t k = (i * 5 + j) * 2 + c;
        EXPECT_NEAR(filtered[k], u + x0[c], 1e-5);
        EXPECT_NEAR(contrasted[k], v[k] * 1.3 - 0.2, 1e-5);
        EXPECT_NEAR(moved[k], at(i, j + 1, c) + x0[c], 1e-5);
      }
}

TEST_F(MethodsTest, AlignStartsAtTheDarkestPixelAndMovesTheCorrection) {
  const Task task = tiny_task();
  const Classifier c = run("source+align");
  const std::vector<uint8_t> pixels = task.train.images.to_vector<uint8_t>();
  const double least = *std::min_element(pixels.begin(), pixels.end());
  EXPECT_NEAR(c.correction->background.item(), (least / 255 - 0.3) / 0.3, 1e-6);
  for (const auto& [name, p] : c.correction->named_parameters()) {
    EXPECT_FALSE(p.requires_grad()) << name;
    for (const float v : p.to_vector<float>()) {
      EXPECT_NE(v, 0) << name;
      EXPECT_LE(std::abs(v), 0.01 * 5 + 1e-6) << name;  // five steps of Adam at 0.01
    }
  }
  // The features' network trains afterwards with the correction as it is.
  EXPECT_EQ(bits_of(*run("align").correction), bits_of(*c.correction));
}

TEST_F(MethodsTest, GateByBruteForce) {
  Options o = tiny_options();
  o.gate_beta = 0.8;
  o.gate_shrink = 0.2;
  const Task task = tiny_task();
  const Classifier plain = run("sgd", o), gated = run("gate", o);
  ASSERT_EQ(bits_of(*plain.model), bits_of(*gated.model));
  const Evaluation train = evaluate(plain, task.train, task.normalize, {}),
                   test = evaluate(plain, task.test, task.normalize, {}),
                   after = evaluate(gated, task.test, task.normalize, {});
  const int64_t d = train.features.width, n = train.features.size();
  ASSERT_EQ(d, 64);
  std::vector<std::vector<double>> mu(6, std::vector<double>(d));
  std::vector<double> images(6);
  for (int64_t i = 0; i < n; ++i) ++images[train.features.labels[i]];
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < d; ++j)
      mu[train.features.labels[i]][j] += train.features.values[i * d + j] / images[train.features.labels[i]];
  std::vector<double> sigma(d * d);
  double trace = 0;
  for (int64_t i = 0; i < n; ++i) {
    const auto& m = mu[train.features.labels[i]];
    const float* f = &train.features.values[i * d];
    for (int64_t a = 0; a < d; ++a)
      for (int64_t b = 0; b < d; ++b) sigma[a * d + b] += (f[a] - m[a]) * (f[b] - m[b]) / static_cast<double>(n);
  }
  for (int64_t a = 0; a < d; ++a) trace += sigma[a * d + a];
  for (int64_t a = 0; a < d; ++a) sigma[a * d + a] += 0.2 * trace / static_cast<double>(d);
  // (f − μ)ᵀ Σ⁻¹ (f − μ) by elimination with pivots.
  const auto distance = [&](std::vector<double> x) {
    const std::vector<double> right = x;
    std::vector<double> m = sigma;
    for (int64_t p = 0; p < d; ++p) {
      int64_t best = p;
      for (int64_t r = p; r < d; ++r)
        if (std::abs(m[r * d + p]) > std::abs(m[best * d + p])) best = r;
      for (int64_t c = 0; c < d; ++c) std::swap(m[p * d + c], m[best * d + c]);
      std::swap(x[p], x[best]);
      for (int64_t r = p + 1; r < d; ++r) {
        const double f = m[r * d + p] / m[p * d + p];
        for (int64_t c = p; c < d; ++c) m[r * d + c] -= f * m[p * d + c];
        x[r] -= f * x[p];
      }
    }
    for (int64_t p = d - 1; p >= 0; --p) {
      for (int64_t c = p + 1; c < d; ++c) x[p] -= m[p * d + c] * x[c];
      x[p] /= m[p * d + p];
    }
    double sum = 0;
    for (int64_t j = 0; j < d; ++j) sum += right[j] * x[j];
    return sum;
  };
  double most = 0;
  for (int64_t i = 0; i < 12; ++i)
    for (int64_t c = 0; c < 6; ++c) {
      const double z = test.predictions.logits[i * 6 + c], got = after.predictions.logits[i * 6 + c];
      if (c % 2 == 1) {
        EXPECT_EQ(got, z);  // missing classes keep their logits
        continue;
      }
      std::vector<double> x(d);
      for (int64_t j = 0; j < d; ++j) x[j] = test.features.values[i * d + j] - mu[c][j];
      const double lowered = 0.8 / static_cast<double>(d) * distance(x);
      EXPECT_NEAR(got, z - lowered, 1e-4 * (1 + std::abs(z) + lowered)) << i << " " << c;
      most = std::max(most, lowered);
    }
  EXPECT_GT(most, 0.1);
}

TEST_F(MethodsTest, GateOfDegenerateFeatures) {
  // One image a class: no variance, Euclidean.
  const Features two{2, {0, 0, 3, 4}, {1, 0}};
  const Tensor logits = zeros({1, 3}), f = from(std::vector<float>{0, 0}, {1, 2});
  EXPECT_EQ(Gate::fit(two, 3, 2, 0.1).apply(f, logits).to_vector<float>(), (std::vector<float>{-25, 0, 0}));
  EXPECT_ERROR(Gate::fit({2, {}, {}}, 3, 1, 0.1), "no training images");
  EXPECT_ERROR(Gate::fit({1, {1}, {3}}, 3, 1, 0.1), "label 3 is outside 0 … 2");
  EXPECT_ERROR(Gate::fit({1, {NAN, 1}, {0, 1}}, 3, 1, 0.1), "not finite");
}

TEST_F(MethodsTest, HoltIsItsComposition) {
  Options half = tiny_options();
  half.tau = 0.5;
  const Classifier a = run("holt"), b = run("seen-softmax+align+gate", half);
  EXPECT_EQ(bits_of(*a.model), bits_of(*b.model));
  const Task t = tiny_task();
  EXPECT_EQ(evaluate(a, t.test, t.normalize, {}).predictions.logits,
            evaluate(b, t.test, t.normalize, {}).predictions.logits);
  Options o;
  EXPECT_EQ(parse_method("holt", o).parts, parse_method("gate+align+seen-softmax", o).parts);
  EXPECT_EQ(o.tau, 0.5);
}

}  // namespace
}  // namespace holt::transfer
