// A benchmark so small that a whole study takes a second: six classes of 8×8 images, bars whose place tells the class.
#pragma once
#include "data/benchmark.h"
#include "kernels/parallel.h"
#include "kernels/philox.h"
#include "nn/models/registry.h"
#include "transfer/adapt.h"
#include "transfer/source_model.h"

namespace holt::test {

class TinyBenchmark : public data::Benchmark {
 public:
  static constexpr int64_t kClasses = 6, kSide = 8;

  const std::vector<std::string>& classes() const override {
    static const std::vector<std::string> all = {"ant", "bee", "cow", "dog", "elk", "fox"};
    return all;
  }
  const std::vector<std::string>& domains() const override {
    static const std::vector<std::string> all = {"clean", "dim", "moved"};
    return all;
  }
  std::string source() const override { return "clean"; }
  std::vector<std::string> targets(const std::string& source) const override {
    std::vector<std::string> others;
    for (const std::string& d : domains())
      if (d != source) others.push_back(d);
    return others;
  }
  data::Normalize normalize() const override { return {{0.3f}, {0.3f}}; }
  Shape image_shape() const override { return {kSide, kSide, 1}; }

  /// Row `k` of the image is bright for class k; "dim" halves the contrast over a grey ground, "moved" shifts the rows
  /// by one. Every image has noise of its own, so that no two are equal.
  data::Dataset load(const std::string& domain, data::Part part, uint64_t seed) const override {
    const size_t d = data::domain_index(*this, "tiny", domain);
    const int64_t each = part == data::Part::train ? train_images : test_images, n = each * kClasses;
    std::vector<uint8_t> pixels;
    std::vector<int64_t> labels;
    for (int64_t i = 0; i < n; ++i) {
      const int64_t k = i % kClasses;
      labels.push_back(k);
      for (int64_t y = 0; y < kSide; ++y)
        for (int64_t x = 0; x < kSide; ++x) {
          const uint64_t at = (static_cast<uint64_t>(i) * kSide + y) * kSide + x;
          const double noise = philox(seed, 10 * d + (part == data::Part::train), at).v[0] % 100;
          double v = noise + (y == k + (d == 2) ? 150 : 0) + (x == y ? 3 * static_cast<double>(k) : 0);
          if (d == 1) v = 60 + v / 2;
          pixels.push_back(static_cast<uint8_t>(v));
        }
    }
    return {"tiny " + domain, from(pixels, {n, kSide, kSide, 1}), from(labels, {n}), classes()};
  }

  int64_t train_images = 10, test_images = 8;  ///< of each class
};

/// A source model of the tiny benchmark, trained for a moment, prepared: evaluation mode, frozen.
inline std::unique_ptr<nn::Model> tiny_source(const std::string& model = "resnet8:stem_stride=2") {
  const ThreadLimit one(1);  // threads cost more than so small layers give
  TinyBenchmark benchmark;
  benchmark.train_images = 24;
  transfer::SourceTraining training{.model = model, .epochs = 3, .batch = 24, .lr = 0.05};
  return transfer::get_source_model({.data = "tiny", .benchmark = benchmark, .domain = "clean", .training = training})
      .model;
}

/// "moved" with three of the six classes seen.
inline transfer::Task tiny_task(const std::string& split = "classes:ant,cow,elk", const std::string& target = "moved") {
  return transfer::make_task("tiny", TinyBenchmark(), {.source = "clean", .target = target, .split = split});
}

/// Few and small steps.
inline transfer::Options tiny_options() {
  transfer::Options o;
  o.steps = o.probe_steps = 6;
  o.batch = 8;
  o.lr = 0.02;
  o.locals = 3, o.rounds = 2, o.local_steps = 3;
  o.align_steps = 5;
  return o;
}

/// The elements of every parameter and buffer.
using Bits = std::map<std::string, std::vector<float>>;
inline Bits bits_of(const nn::State& state) {
  Bits all;
  for (const auto& [name, t] : state) all[name] = t.to_vector<float>();
  return all;
}
inline Bits bits_of(const nn::Module& m) { return bits_of(m.state()); }

}  // namespace holt::test
