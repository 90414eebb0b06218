// Every trainer against an independent statement of what it must do: docs/method.md's table, restated here by hand
// loops and double precision. The parts that join one: method_parts_test.cpp, lolsgd_test.cpp, align_gate_test.cpp.
#include "tests/harness/method_fixture.h"

namespace holt::transfer {
namespace {

TEST_F(MethodsTest, WhatEachMethodMoves) {
  const Bits before = bits_of(*source_);
  const int statistics = count(before, is_statistic);
  struct Expected {
    const char* method;
    bool features, classifier, statistics;
  };
  const Expected table[] = {
      {"source", false, false, false},
      {"sgd", true, true, true},
      {"linear-probe", false, true, false},
      {"lp-ft", true, true, true},
      {"frozen-classifier", true, false, true},
      {"frozen-classifier+lolsgd", true, false, true},
      {"frozen-classifier+lolsgd+distill+rank", true, false, true},
      {"frozen-bn", true, true, false},
      {"frozen-bn+lolsgd", true, true, false},
      {"frozen-bn+frozen-classifier+lolsgd", true, false, false},
      {"frozen-bn+lp-ft", true, true, false},
      {"bn-stats", false, false, true},
      {"source+align", false, false, true},
      {"source+gate", false, false, false},
      {"lolsgd", true, true, true},
      {"sgd-restart", true, true, true},
      {"local-sgd", true, true, true},
      {"linear-probe+align", false, true, true},
      {"oracle", true, true, true},
      {"holt", true, true, true},
  };
  for (const Expected& e : table) {
    const Classifier c = run(e.method);
    const Moved m(before, bits_of(*c.model));
    EXPECT_EQ(m.features > 0, e.features) << e.method;
    EXPECT_EQ(m.classifier > 0, e.classifier) << e.method;
    EXPECT_EQ(m.statistics, e.statistics ? statistics : 0) << e.method;
    EXPECT_EQ(bits_of(*source_), before) << e.method << " changed the source model";
    EXPECT_FALSE(c.model->training()) << e.method;
    EXPECT_EQ(c.seen, tiny_task().split.seen);
    EXPECT_EQ(static_cast<bool>(c.correction),
              std::string(e.method).find("align") != std::string::npos || std::string(e.method) == "holt");
    EXPECT_EQ(c.gate.has_value(),
              std::string(e.method).find("gate") != std::string::npos || std::string(e.method) == "holt");
  }
}

TEST_F(MethodsTest, FrozenAffineToo) {
  Options o = tiny_options();
  o.frozen_bn_affine = true;
  const Bits before = bits_of(*source_), after = bits("frozen-bn", o);
  int kept = 0;
  for (const auto& [name, x] : before)
    if (name.find("bn") != std::string::npos) {
      EXPECT_EQ(x, after.at(name)) << name;
      ++kept;
    }
  EXPECT_GT(kept, 10);
  EXPECT_NE(before.at("fc.weight"), after.at("fc.weight"));
}

TEST_F(MethodsTest, TheSameSeedTheSameBits) {
  for (const std::string& name : standard_methods()) {
    const Bits first = bits(name), again = bits(name), other = bits(name, tiny_options(), 2);
    EXPECT_EQ(first, again) << name;
    if (name == "source") continue;
    EXPECT_NE(first, other) << name;
  }
}

// Fine-tuning by a loop written here, with the same batches.
TEST_F(MethodsTest, SgdIsTheLoopByHand) {
  for (const char* schedule : {"constant", "cosine"}) {
    Options o = tiny_options();
    o.schedule = schedule;
    o.weight_decay = 0.01;
    const Task task = tiny_task();
    const auto model = nn::clone(*source_);
    model->requires_grad("*", true);
    model->train();
    Batches batches(task.train, task.normalize, o.batch, derive_seed(1, "batches"), {});
    nn::SGD sgd(model->named_parameters(),
                {.lr = o.lr, .momentum = 0.9, .nesterov = true, .weight_decay = o.weight_decay});
    for (int64_t t = 0; t < o.steps; ++t) {
      const auto batch = batches.next();
      cross_entropy((*model)(batch.images), batch.labels).backward();
      const double pi = std::acos(-1.0), x = static_cast<double>(t) / static_cast<double>(o.steps);
      sgd.step(o.schedule == "cosine" ? (1 + std::cos(pi * x)) / 2 : 1);
      sgd.zero_grad();
    }
    EXPECT_LT(largest_difference(bits("sgd", o), bits_of(*model)), 1e-6) << schedule;
  }
}

TEST_F(MethodsTest, OnlyTheOracleSeesMissingClasses) {
  for (const std::string& name : standard_methods()) {
    if (name == "source" || name == "bn-stats") continue;
    recorded.clear();
    Options o = tiny_options();
    o.steps = o.probe_steps = 24;
    run(name + "+recorder", o);
    std::set<int64_t> labels;
    for (const Recorded& r : recorded) labels.insert(r.labels.begin(), r.labels.end());
    EXPECT_EQ(labels, name == "oracle" ? std::set<int64_t>({0, 1, 2, 3, 4, 5}) : std::set<int64_t>({0, 2, 4})) << name;
  }
}

TEST_F(MethodsTest, BatchesAreFullAndVisitEveryImageOnceAnEpoch) {
  Options o = tiny_options();
  o.batch = 10;
  o.steps = 6;
  run("sgd+recorder", o);  // 30 images: two epochs
  ASSERT_EQ(recorded.size(), 6u);
  for (int epoch = 0; epoch < 2; ++epoch) {
    std::set<std::vector<float>> images;
    for (int k = 0; k < 3; ++k) {
      const Recorded& r = recorded[3 * epoch + k];
      ASSERT_EQ(r.labels.size(), 10u);
      for (int i = 0; i < 10; ++i) images.insert({r.images.begin() + i * 64, r.images.begin() + (i + 1) * 64});
    }
    EXPECT_EQ(images.size(), 30u);
  }
  EXPECT_NE(recorded[0].images, recorded[3].images);
  // Fewer images than a batch: all of them.
  recorded.clear();
  o.batch = 1000;
  run("sgd+recorder", o);
  for (const Recorded& r : recorded) EXPECT_EQ(r.labels.size(), 30u);
}

TEST_F(MethodsTest, BnStatsAreTheMeansOverTheBatches) {
  Options o = tiny_options();
  o.batch = 10;
  const Task task = tiny_task();
  const Bits after = bits_of(*run("bn-stats", o).model);
  // The stem's batch norm sees conv1(x) whatever the other statistics are: its values from the definition, in double.
  std::vector<double> mean(16), variance(16);
  Batches batches(task.train, task.normalize, o.batch, derive_seed(1, "batches"), {});
  const auto model = nn::clone(*source_);
  const auto& conv = dynamic_cast<nn::Conv2d&>(*model->named_modules()[1].second);
  ASSERT_EQ(model->named_modules()[1].first, "conv1");
  for (int k = 0; k < 3; ++k) {
    const NoGrad no_grad;
    const Tensor y = conv2d(batches.next().images, conv.weight, conv.bias, {conv.stride, conv.padding});
    const std::vector<float> v = y.to_vector<float>();
    const auto n = static_cast<double>(v.size() / 16);
    for (size_t c = 0; c < 16; ++c) {
      double m = 0, s = 0;
      for (size_t i = c; i < v.size(); i += 16) m += v[i] / n;
      for (size_t i = c; i < v.size(); i += 16) s += (v[i] - m) * (v[i] - m) / (n - 1);
      mean[c] += m / 3;
      variance[c] += s / 3;
    }
  }
  for (size_t c = 0; c < 16; ++c) {
    EXPECT_NEAR(after.at("bn1.running_mean")[c], mean[c], 1e-5) << c;
    EXPECT_NEAR(after.at("bn1.running_var")[c], variance[c], 1e-5 * (1 + variance[c])) << c;
  }
  // Nothing of the source's statistics is left, and the layers move on as before.
  Options more = o;
  more.bn_passes = 3;
  EXPECT_NE(bits("bn-stats", more), after);
  run("bn-stats", o).model->for_each<nn::BatchNorm2d>([](const std::string& name, nn::BatchNorm2d& bn) {
    EXPECT_EQ(bn.momentum, 0.1) << name;
  });
}

TEST_F(MethodsTest, LinearProbeUsesTheFeaturesOfEvaluation) {
  // With dropout and batch norm off, W and b follow softmax regression on fixed features, in double.
  Options o = tiny_options();
  o.probe_lr = 0.1;
  const Task task = tiny_task();
  const Classifier c = run("linear-probe", o);
  Batches batches(task.train, task.normalize, o.batch, derive_seed(1, "batches"), {});
  const NoGrad no_grad;
  const std::vector<float> w0 = source_->classifier().weight.to_vector<float>(),
                           b0 = source_->classifier().bias.to_vector<float>();
  constexpr int64_t kClasses = 6, d = 64;
  std::vector<double> w(w0.begin(), w0.end()), b(b0.begin(), b0.end()), vw(w.size()), vb(b.size());
  for (int64_t t = 0; t < o.probe_steps; ++t) {
    const auto batch = batches.next();
    const std::vector<float> f = source_->features(batch.images).to_vector<float>();
    const std::vector<int64_t> labels = batch.labels.to_vector<int64_t>();
    std::vector<double> gw(w.size()), gb(b.size());
    for (size_t i = 0; i < labels.size(); ++i) {
      std::vector<double> p(kClasses);
      double sum = 0;
      for (int64_t k = 0; k < kClasses; ++k) {
        double z = b[k];
        for (int64_t j = 0; j < d; ++j) z += w[k * d + j] * f[i * d + j];
        sum += p[k] = std::exp(z);
      }
      for (int64_t k = 0; k < kClasses; ++k) {
        const double g = (p[k] / sum - (labels[i] == k)) / static_cast<double>(labels.size());
        gb[k] += g;
        for (int64_t j = 0; j < d; ++j) gw[k * d + j] += g * f[i * d + j];
      }
    }
    const auto step = [&](std::vector<double>& x, std::vector<double>& v, const std::vector<double>& g) {
      for (size_t i = 0; i < x.size(); ++i) {
        v[i] = 0.9 * v[i] + g[i];
        x[i] -= o.probe_lr * (g[i] + 0.9 * v[i]);
      }
    };
    step(w, vw, gw), step(b, vb, gb);
  }
  const std::vector<float> got = c.model->classifier().weight.to_vector<float>();
  for (size_t i = 0; i < w.size(); ++i) ASSERT_NEAR(got[i], w[i], 1e-4) << i;
  for (size_t k = 0; k < b.size(); ++k) ASSERT_NEAR(c.model->classifier().bias.to_vector<float>()[k], b[k], 1e-4);
}

TEST_F(MethodsTest, ProbingDropsNothing) {
  nn::ModelConfig config = nn::parse_model("lenet:dropout=0.5");
  config.classes = 6, config.height = config.width = 12;
  Generator g(3);
  const auto lenet = nn::make_model(config, g);
  prepare_source(*lenet, {});
  Task task = tiny_task();
  const auto widen = [](data::Dataset& d) {
    Generator noise(5);
    const Tensor x = uniform({d.size(), 12, 12, 1}, 0, 1, noise);
    d.images = x;
  };
  widen(task.train), widen(task.train_all), widen(task.test);
  Options o = tiny_options();
  o.batch = 30;  // every step sees all images: only dropout could tell two seeds apart
  const auto probe = [&](const std::string& name, uint64_t seed) {
    const Method m = parse_method(name, o);
    return bits_of(*adapt(*lenet, task, m, o, {.seed = seed}).classifier.model).at("fc.weight");
  };
  const std::vector<float> a = probe("linear-probe", 1), b = probe("linear-probe", 2);
  double most = 0;
  for (size_t i = 0; i < a.size(); ++i) most = std::max(most, static_cast<double>(std::abs(a[i] - b[i])));
  EXPECT_LT(most, 1e-5);
  EXPECT_NE(probe("sgd", 1), a);
}

}  // namespace
}  // namespace holt::transfer
