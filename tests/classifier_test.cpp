// transfer/classifier: what is saved comes back the same, and a file from elsewhere is a classifier or an Error.
#include "transfer/classifier.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <functional>

#include "core/random.h"
#include "nn/models/registry.h"
#include "nn/state_file.h"
#include "tests/harness/expect_error.h"
#include "transfer/task.h"

namespace holt::transfer {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kClasses = 5, kWidth = 64;
const nn::Usage kUsage{{"a", "b", "c", "d", "e"}, {0.3f}, {0.5f}};
const data::Normalize kNormalize{kUsage.mean, kUsage.std};

data::Dataset images(int64_t n) {
  Generator generator(3);
  data::Dataset d{"noise", uniform({n, 12, 12, 1}, 0, 1, generator), empty({n}, DType::i64), kUsage.classes};
  for (int64_t i = 0; i < n; ++i) d.labels.data<int64_t>()[i] = 1 + i % 3;
  return d;
}

class ClassifierFile : public testing::Test {
 protected:
  ClassifierFile() { fs::create_directories(folder_); }
  ~ClassifierFile() override { fs::remove_all(folder_); }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  static Classifier plain() {
    Generator generator(1);
    Classifier c{.model =
                     nn::make_model({.name = "resnet8", .classes = kClasses, .height = 12, .width = 12}, generator)};
    c.model->eval();
    return c;
  }
  // Everything that a classifier can have, none of it trivial.
  static Classifier full() {
    Classifier c = plain();
    c.correction = std::make_unique<Correction>(std::vector<float>{-0.6f});
    Generator generator(2);
    for (const auto& [name, tensor] : c.correction->named_parameters())
      for (int64_t i = 0; i < tensor.numel(); ++i)
        const_cast<Tensor&>(tensor).data<float>()[i] = 0.02f * static_cast<float>((i * 7 + 3) % 5 - 2);
    const data::Dataset d = images(12);
    c.gate = Gate::fit(evaluate(c, d, kNormalize, Device::cpu).features, kClasses, 0.5, 0.1);
    c.seen = {1, 2, 3};
    c.gamma = 0.75;
    return c;
  }
  // Saves a full classifier, changes the file's content, loads it.
  void load_changed(const std::function<void(NamedTensors&, Metadata&)>& change) const {
    save_classifier(path("full"), full(), kUsage);
    Safetensors file = read_safetensors(path("full"));
    change(file.tensors, file.metadata);
    write_safetensors(path("changed"), file.tensors, file.metadata);
    load_classifier(path("changed"));
  }

  const fs::path folder_ = fs::temp_directory_path() / format("holt_classifier_test.{}", getpid());
};

TEST_F(ClassifierFile, RoundTrip) {
  const Classifier c = full();
  save_classifier(path("full"), c, kUsage, {{"note", "mine"}});
  const LoadedClassifier loaded = load_classifier(path("full"));
  EXPECT_EQ(loaded.usage, kUsage);
  EXPECT_EQ(loaded.metadata.at("note"), "mine");
  EXPECT_EQ(loaded.classifier.gamma, c.gamma);
  EXPECT_EQ(loaded.classifier.seen, c.seen);
  EXPECT_FALSE(loaded.classifier.model->training());

  const data::Dataset d = images(9);
  const Evaluation before = evaluate(c, d, kNormalize, Device::cpu),
                   after = evaluate(loaded.classifier, d, kNormalize, Device::cpu);
  EXPECT_EQ(before.predictions.logits, after.predictions.logits);
  EXPECT_EQ(before.features.values, after.features.values);
  EXPECT_NE(before.predictions.logits, evaluate(plain(), d, kNormalize, Device::cpu).predictions.logits);

  const auto guesses = predict(c, d, kNormalize, Device::cpu, 3),
             same = predict(loaded.classifier, d, kNormalize, Device::cpu, 3);
  for (size_t i = 0; i < guesses.size(); ++i)
    for (size_t k = 0; k < 3; ++k) {
      EXPECT_EQ(guesses[i][k].label, same[i][k].label);
      EXPECT_EQ(guesses[i][k].probability, same[i][k].probability);
    }
}

TEST_F(ClassifierFile, PlainModels) {
  const Classifier c = plain();
  nn::save_model(path("plain"), *c.model, nn::to_metadata(kUsage));
  const LoadedClassifier loaded = load_classifier(path("plain"));
  EXPECT_FALSE(loaded.classifier.correction);
  EXPECT_FALSE(loaded.classifier.gate);
  EXPECT_EQ(loaded.classifier.gamma, 0);
  EXPECT_TRUE(loaded.classifier.seen.empty());
  const data::Dataset d = images(4);
  EXPECT_EQ(evaluate(c, d, kNormalize, Device::cpu).predictions.logits,
            evaluate(loaded.classifier, d, kNormalize, Device::cpu).predictions.logits);
}

TEST_F(ClassifierFile, WhatImagesMustBe) {
  save_classifier(path("small"), plain(), kUsage);
  EXPECT_EQ(input_frame(load_classifier(path("small"))).fit, data::Fit::whole);
  save_classifier(path("said"), plain(), kUsage, {{"transfer.fit", "crop"}});
  const data::Frame frame = input_frame(load_classifier(path("said")));
  EXPECT_EQ(frame.fit, data::Fit::crop);
  EXPECT_EQ(frame.height, 12);
  EXPECT_EQ(frame.channels, 1);
}

TEST_F(ClassifierFile, Probabilities) {
  Classifier c = plain();
  const data::Dataset d = images(6);
  const std::vector<float> logits = evaluate(c, d, kNormalize, Device::cpu).predictions.logits;
  c.seen = {0, 3};
  c.gamma = 1.5;
  const auto all = predict(c, d, kNormalize, Device::cpu, 100);
  ASSERT_EQ(all.size(), 6u);
  for (size_t i = 0; i < all.size(); ++i) {
    ASSERT_EQ(all[i].size(), static_cast<size_t>(kClasses));
    double sum = 0;
    for (int64_t k = 0; k < kClasses; ++k) sum += std::exp(logits[i * kClasses + k] + (k == 0 || k == 3 ? 0 : 1.5));
    for (size_t k = 0; k < all[i].size(); ++k) {
      const auto [label, probability] = all[i][k];
      const double z = logits[i * kClasses + label] + (label == 0 || label == 3 ? 0 : 1.5);
      EXPECT_NEAR(probability, std::exp(z) / sum, 1e-12);
      EXPECT_TRUE(k == 0 || all[i][k - 1].probability >= probability);
    }
  }
  const Tensor shifted = c.calibrated(from(logits, {6, kClasses}));
  EXPECT_EQ(shifted.data<float>()[0], logits[0]);
  EXPECT_EQ(shifted.data<float>()[1], logits[1] + 1.5f);

  c.gamma = std::nan("");
  EXPECT_ERROR(save_classifier(path("nan"), c, kUsage), "γ is nan");
  c.gamma = 0;
  c.model->classifier().bias.data<float>()[2] = std::nanf("");
  EXPECT_ERROR(predict(c, d, kNormalize, Device::cpu, 1), "the logit of class 2 for image 0 is nan");
}

TEST_F(ClassifierFile, MisshapenFiles) {
  const auto fails = [&](const char* part, const std::function<void(NamedTensors&, Metadata&)>& change) {
    EXPECT_ERROR(load_changed(change), part);
    EXPECT_ERROR(load_changed(change), path("changed"));
  };
  const auto tensor = [&](const char* part, const std::string& name, Shape shape, DType dtype = DType::f32) {
    fails(part, [&](NamedTensors& t, Metadata&) { t["transfer." + name] = zeros(shape, dtype); });
  };
  tensor("do not fit 64 features and 5 classes", "gate.whitening", {kWidth + 1, kWidth + 1});
  tensor("do not fit", "gate.whitening", {kWidth, 1});
  tensor("do not fit", "gate.means", {3, kWidth - 1});
  tensor("do not fit", "gate.means", {0, kWidth});
  tensor("do not fit", "gate.scatter", {3, kClasses + 1});
  tensor("do not fit", "gate.scatter", {2, kClasses});
  tensor("'scatter' must be an f32 matrix", "gate.scatter", {3 * kClasses});
  tensor("'means' must be an f32 matrix", "gate.means", {3, kWidth}, DType::f64);
  tensor("alone, got 4 tensors", "gate.more", {1});
  tensor("kernel: expected", "correction.kernel", {1, 3, 3, 1});
  tensor("background", "correction.background", {3});
  tensor("projection", "correction.projection", {8}, DType::i64);
  tensor("other", "correction.other", {1});
  tensor("transfer.surprise", "surprise", {1});
  fails("'scatter' must be", [](NamedTensors& t, Metadata&) { t.erase("transfer.gate.scatter"); });
  fails("contrast", [](NamedTensors& t, Metadata&) { t.erase("transfer.correction.contrast"); });

  const auto entry = [&](const char* part, const char* key, const char* value) {
    fails(part, [&](NamedTensors&, Metadata& m) { m[key] = value; });
  };
  entry("transfer.gamma must be a finite number", "transfer.gamma", "null");
  entry("transfer.gamma must be a finite number", "transfer.gamma", "\"1\"");
  entry("cannot be read", "transfer.gamma", "1e999");
  entry("cannot be read", "transfer.gamma", "");
  entry("must be a list", "transfer.seen", "{\"a\": 1}");
  entry("must ascend within 0 … 4", "transfer.seen", "[1, 5]");
  entry("must ascend", "transfer.seen", "[-1, 2]");
  entry("must ascend", "transfer.seen", "[2, 2]");
  entry("must ascend", "transfer.seen", "[1.5]");
  entry("must ascend", "transfer.seen", "[18446744073709551615]");
  entry("cannot be read", "transfer.seen", "[1, 2");
  entry("expected crop or whole", "transfer.fit", "stretch");
  entry("no model 'resnet9000'", "holt.model", "resnet9000");
  fails("without the other", [](NamedTensors&, Metadata& m) { m.erase("transfer.seen"); });
  fails("without the other", [](NamedTensors&, Metadata& m) { m.erase("transfer.gamma"); });
}

TEST(OwnTask, HasTheClassesThatAreThere) {
  const Task task = own_task(images(7), kNormalize);
  EXPECT_EQ(task.split.seen, (std::vector<int64_t>{1, 2, 3}));
  EXPECT_EQ(task.train.size(), 7);
  EXPECT_FALSE(task.test.images);
  EXPECT_EQ(task.classes(), kClasses);
  data::Dataset wrong = images(3);
  wrong.labels.data<int64_t>()[1] = 5;
  EXPECT_ERROR(own_task(wrong, kNormalize), "label 5 of sample 1");
}

}  // namespace
}  // namespace holt::transfer
