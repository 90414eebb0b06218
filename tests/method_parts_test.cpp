// What parts add to a step, by hand in double precision: penalties, the restricted softmax, interpolation.
#include "tests/harness/method_fixture.h"
#include "transfer/spectral.h"

namespace holt::transfer {
namespace {

TEST_F(MethodsTest, SeenSoftmaxPushesNoMissingLogit) {
  Options o = tiny_options();
  o.momentum = 0;
  o.weight_decay = 0;
  const Bits before = bits_of(*source_);
  const auto row = [](const Bits& b, int64_t c) {
    const std::vector<float>& w = b.at("fc.weight");
    return std::vector<float>(w.begin() + c * 64, w.begin() + (c + 1) * 64);
  };
  const Bits restricted = bits("seen-softmax", o), plain = bits("sgd", o);
  for (int64_t c = 0; c < 6; ++c) {
    const bool seen = c == 0 || c == 2 || c == 4;
    EXPECT_EQ(row(restricted, c) == row(before, c), !seen) << c;
    EXPECT_EQ(restricted.at("fc.bias")[c] == before.at("fc.bias")[c], !seen) << c;
    EXPECT_NE(row(plain, c), row(before, c)) << c;
  }
}

TEST_F(MethodsTest, SeenSoftmaxWithMargin) {
  Options zero = tiny_options();
  zero.unseen_margin = "0";
  EXPECT_EQ(bits("seen-softmax", zero), bits("sgd"));  // plain cross-entropy
  // Its value and what the margin does, from the definition.
  for (const char* margin : {"none", "0", "-1.5", "2"})
    for (const double tau : {1.0, 0.5}) {
      Options o = tiny_options();
      o.unseen_margin = margin;
      o.tau = tau;
      const Hand hand(tiny_task(), o, "seen-softmax");
      Generator g(1);
      const Tensor z = uniform({5, 6}, -3, 3, g);
      const std::vector<int64_t> labels = {0, 2, 4, 4, 0};
      double expected = 0;
      for (int i = 0; i < 5; ++i) {
        double sum = 0;
        const auto at = [&](int64_t c) { return tau * static_cast<double>(z.to_vector<float>()[i * 6 + c]); };
        for (int64_t c = 0; c < 6; ++c) {
          if (c % 2 == 0)
            sum += std::exp(at(c));
          else if (o.unseen_margin != "none")
            sum += std::exp(at(c) + std::stod(margin));
        }
        expected -= (at(labels[i]) - std::log(sum)) / 5;
      }
      EXPECT_NEAR(hand.a.objective(z, from(labels, {5})).item(), expected, 1e-5) << margin << " " << tau;
    }
}

// The penalty of a part at a moved model, and the double-precision value of the same.
struct Probe {
  explicit Probe(Adaptation& a) {
    Batches batches(a.train, a.task.normalize, 12, 3, {});
    const auto batch = batches.next();
    images = batch.images;
    labels = batch.labels;
    features = a.classifier.model->features(images);
    logits = a.classifier.model->classifier()(features);
  }
  Forward forward(Adaptation& a) const { return {*a.classifier.model, images, features, logits, labels}; }
  Tensor images, labels, features, logits;
};

double kl_by_hand(const std::vector<float>& teacher, const std::vector<float>& student, int64_t n, double t,
                  const std::vector<int64_t>& classes) {
  double total = 0;
  for (int64_t i = 0; i < n; ++i) {
    double zt = 0, zs = 0;
    for (const int64_t c : classes) zt += std::exp(teacher[i * 6 + c] / t), zs += std::exp(student[i * 6 + c] / t);
    for (const int64_t c : classes) {
      const double p = std::exp(teacher[i * 6 + c] / t) / zt, q = std::exp(student[i * 6 + c] / t) / zs;
      total += p * std::log(p / q);
    }
  }
  return total / static_cast<double>(n);
}

TEST_F(MethodsTest, DistillationByHand) {
  for (const double t : {1.0, 2.5})
    for (const bool all : {false, true}) {
      Options o = tiny_options();
      o.distill_weight = o.lwf_weight = 0.7;
      o.distill_temperature = o.lwf_temperature = t;
      Hand hand(tiny_task(), o, all ? "lwf" : "distill");
      const Probe probe(hand.a);
      std::vector<float> teacher;
      {
        const NoGrad no_grad;
        teacher = (*source_)(probe.images).to_vector<float>();
      }
      const double expected = 0.7 * t * t *
                              kl_by_hand(teacher, probe.logits.to_vector<float>(), 12, t,
                                         all ? std::vector<int64_t>{0, 1, 2, 3, 4, 5} : std::vector<int64_t>{1, 3, 5});
      ASSERT_GT(expected, 1e-4);
      EXPECT_NEAR(hand.a.parts.back()->penalty(hand.a, probe.forward(hand.a)).item(), expected, 1e-5 * (1 + expected))
          << t << " " << all;
    }
}

TEST_F(MethodsTest, DistillationGradientReachesTheMissingLogitsAlone) {
  Hand hand(tiny_task(), tiny_options(), "distill");
  const Probe probe(hand.a);
  const Tensor logits = probe.logits.detach().clone().requires_grad_();
  hand.a.parts.back()
      ->penalty(hand.a, {*hand.a.classifier.model, probe.images, probe.features, logits, probe.labels})
      .backward();
  const std::vector<float> g = logits.grad().to_vector<float>();
  for (size_t i = 0; i < g.size(); ++i) EXPECT_EQ(g[i] != 0, i % 2 == 1) << i;
}

// K of features standardised over the batch, in double.
std::vector<double> correlation(const std::vector<float>& f, int64_t n, int64_t d) {
  std::vector<double> z(n * d), k(d * d);
  for (int64_t j = 0; j < d; ++j) {
    double m = 0, v = 0;
    for (int64_t i = 0; i < n; ++i) m += f[i * d + j] / static_cast<double>(n);
    for (int64_t i = 0; i < n; ++i) v += (f[i * d + j] - m) * (f[i * d + j] - m) / static_cast<double>(n);
    for (int64_t i = 0; i < n; ++i) z[i * d + j] = (f[i * d + j] - m) / std::sqrt(v + 1e-5);
  }
  for (int64_t a = 0; a < d; ++a)
    for (int64_t b = 0; b < d; ++b)
      for (int64_t i = 0; i < n; ++i) k[a * d + b] += z[i * d + a] * z[i * d + b] / static_cast<double>(n);
  return k;
}

TEST_F(MethodsTest, RankPenaltiesByHand) {
  for (const int64_t d : {5, 20})  // fewer and more than the 12 images
    for (const std::string kind : {"frobenius", "logdet", "nuclear"}) {
      Options o = tiny_options();
      o.rank_kind = kind;
      o.rank_weight = 1.7;
      Hand hand(tiny_task(), o, "rank");
      const Probe probe(hand.a);
      Generator g(9);
      const Tensor mix = normal({d, d}, 0, 1, g), f = matmul(normal({12, d}, 0.5, 1, g), mix);
      const std::vector<double> k = correlation(f.to_vector<float>(), 12, d);
      std::vector<double> vectors;
      double expected = 0;
      for (const double l : eigenvalues(k, d, vectors)) {
        const double e = std::max(l, 0.0), n = static_cast<double>(d);
        expected += kind == "frobenius" ? e * e / (n * n)
                    : kind == "logdet"  ? -std::log(e + 0.01) / n
                                        : -std::sqrt(e) / n;
      }
      if (kind == "frobenius") {  // also without eigenvalues
        double squares = 0;
        for (const double x : k) squares += x * x;
        EXPECT_NEAR(expected, squares / static_cast<double>(d * d), 1e-9);
      }
      const Tensor penalty =
          hand.a.parts.back()->penalty(hand.a, {*hand.a.classifier.model, probe.images, f, probe.logits, probe.labels});
      EXPECT_NEAR(penalty.item(), 1.7 * expected, 2e-4 * (1 + std::abs(expected))) << kind << " " << d;
    }
}

TEST_F(MethodsTest, RankPenaltiesPreferFeaturesOfHighRank) {
  Generator g(4);
  const Tensor full = normal({12, 8}, 0, 1, g), one = matmul(normal({12, 1}, 0, 1, g), normal({1, 8}, 0, 1, g));
  for (const std::string kind : {"frobenius", "logdet", "nuclear"}) {
    Options o = tiny_options();
    o.rank_kind = kind;
    Hand hand(tiny_task(), o, "rank");
    const Probe p(hand.a);
    const auto value = [&](const Tensor& f) {
      return hand.a.parts.back()->penalty(hand.a, {*hand.a.classifier.model, p.images, f, p.logits, p.labels}).item();
    };
    EXPECT_LT(value(full), value(one)) << kind;
  }
}

TEST_F(MethodsTest, SpectralSum) {
  // Values: trace, squared norm and determinant of a matrix of known ones.
  const Tensor k = from(std::vector<float>{4, 1, 0.5f, 1, 3, -0.25f, 0.5f, -0.25f, 2}, {3, 3});
  EXPECT_NEAR(spectral_sum(k, [](double l) { return std::pair(l, 1.0); }).item(), 9, 1e-5);
  EXPECT_NEAR(spectral_sum(k, [](double l) { return std::pair(l * l, 2 * l); }).item(),
              16 + 9 + 4 + 2 * (1 + 0.25 + 0.0625), 1e-4);
  const double det = 4 * (6 - 0.0625) - 1 * (2 + 0.125) + 0.5 * (-0.25 - 1.5);
  EXPECT_NEAR(spectral_sum(k, [](double l) { return std::pair(std::log(l), 1 / l); }).item(), std::log(det), 1e-5);
  EXPECT_ERROR(spectral_sum(zeros({2, 3}), [](double l) { return std::pair(l, 1.0); }), "square f32");
  // Gradients against central differences of a sum that is taken in double.
  const auto f = [](double l) { return std::pair(std::log(l + 0.01), 1 / (l + 0.01)); };
  for (const int64_t n : {1, 2, 7}) {
    Generator g(n);
    const Tensor a = normal({n, n + 3}, 0, 1, g), p = matmul(a, a, false, true).requires_grad_();
    spectral_sum(p, f).backward();
    const std::vector<float> values = p.to_vector<float>(), gradient = p.grad().to_vector<float>();
    const auto total = [&](const std::vector<double>& m) {
      std::vector<double> vectors;
      double sum = 0;
      for (const double l : eigenvalues(m, n, vectors)) sum += f(l).first;
      return sum;
    };
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j <= i; ++j) {
        std::vector<double> up(values.begin(), values.end()), down = up;
        constexpr double h = 1e-5;
        up[i * n + j] += h, down[i * n + j] -= h;
        if (i != j) up[j * n + i] += h, down[j * n + i] -= h;  // symmetric: both move
        const double numeric = (total(up) - total(down)) / (2 * h),
                     analytic = i == j ? gradient[i * n + j] : gradient[i * n + j] + gradient[j * n + i];
        EXPECT_NEAR(analytic, numeric, 1e-4 * (1 + std::abs(numeric))) << n << ": " << i << ", " << j;
      }
  }
}

TEST_F(MethodsTest, EigenvaluesAreThoseOfTheMatrix) {
  Generator g(2);
  for (const int64_t n : {1, 2, 3, 31, 64}) {
    const std::vector<float> r = normal({n, n}, 0, 1, g).to_vector<float>();
    std::vector<double> a(n * n), v;
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j < n; ++j) a[i * n + j] = static_cast<double>(r[i * n + j]) + r[j * n + i];
    const std::vector<double> values = eigenvalues(a, n, v);
    for (int64_t e = 0; e < n; ++e)
      for (int64_t i = 0; i < n; ++i) {
        double av = 0, vv = 0;
        for (int64_t j = 0; j < n; ++j) av += a[i * n + j] * v[j * n + e], vv += v[j * n + i] * v[j * n + e];
        ASSERT_NEAR(av, values[e] * v[i * n + e], 1e-10) << n;
        ASSERT_NEAR(vv, i == e, 1e-12) << n;
      }
  }
  std::vector<double> v;
  EXPECT_EQ(eigenvalues(std::vector<double>(9), 3, v), std::vector<double>(3));
}

TEST_F(MethodsTest, L2SpByHand) {
  Hand hand(tiny_task(), tiny_options(), "frozen-classifier+l2sp");
  const Probe probe(hand.a);
  const Tensor penalty = hand.a.parts.back()->penalty(hand.a, probe.forward(hand.a));
  penalty.backward();
  double expected = 0;
  const Bits start = bits_of(*source_);
  for (const auto& [name, p] : hand.a.classifier.model->named_parameters()) {
    if (is_classifier(name)) {  // frozen: no part of it
      EXPECT_FALSE(p.grad()) << name;
      continue;
    }
    const std::vector<float> x = p.to_vector<float>(), g = p.grad().to_vector<float>();
    for (size_t i = 0; i < x.size(); ++i) {
      const double d = static_cast<double>(x[i]) - start.at(name)[i];
      expected += 0.3 * d * d;
      ASSERT_NEAR(g[i], 2 * 0.3 * d, 1e-6) << name << " " << i;
    }
  }
  EXPECT_NEAR(penalty.item(), expected, 1e-4 * expected);
  EXPECT_GT(expected, 1);
}

TEST_F(MethodsTest, L2SpHoldsTheWeightsBack) {
  Options strong = tiny_options();
  strong.l2sp_weight = 10;
  const Bits before = bits_of(*source_);
  const auto distance = [&](const Bits& b) {
    double d = 0;
    for (const auto& [name, x] : b)
      if (!is_statistic(name))
        for (size_t i = 0; i < x.size(); ++i) d += std::pow(static_cast<double>(x[i]) - before.at(name)[i], 2);
    return d;
  };
  EXPECT_LT(distance(bits("l2sp", strong)), 0.7 * distance(bits("sgd")));
}

TEST_F(MethodsTest, WiseInterpolates) {
  const Bits a = bits_of(*source_), b = bits("sgd");
  for (const double alpha : {0.0, 0.25, 1.0}) {
    Options o = tiny_options();
    o.wise_alpha = alpha;
    const Bits mixed = bits("wise", o);
    for (const auto& [name, x] : mixed)
      for (size_t i = 0; i < x.size(); ++i)
        ASSERT_NEAR(x[i], alpha * b.at(name)[i] + (1 - alpha) * a.at(name)[i], 1e-6) << name;
    EXPECT_EQ(mixed == a, alpha == 0);
    EXPECT_EQ(mixed == b, alpha == 1);
  }
}

}  // namespace
}  // namespace holt::transfer
