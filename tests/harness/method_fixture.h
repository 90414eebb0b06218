// Methods under test: run by name on the tiny task, or asked part by part.
#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "core/autograd.h"
#include "core/ops.h"
#include "kernels/parallel.h"
#include "nn/state.h"
#include "tests/harness/expect_error.h"
#include "tests/harness/tiny_transfer.h"
#include "tests/harness/worst.h"
#include "transfer/training.h"

namespace holt::transfer {

using test::Bits, test::bits_of, test::tiny_options, test::tiny_task;

// A part that remembers every batch that was trained on.
struct Recorded {
  std::vector<float> images;
  std::vector<int64_t> labels;
};
inline std::vector<Recorded> recorded;  // one thread trains wherever it is used
class Recorder : public Part {
 public:
  Tensor penalty(const Adaptation&, const Forward& f) override {
    recorded.push_back({f.images.to_vector<float>(), f.labels.to_vector<int64_t>()});
    return {};
  }
};

class MethodsTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    source_ = test::tiny_source();
    register_method({.name = "recorder", .description = "remembers the batches", .source = "", .make = [] {
                       return std::make_unique<Recorder>();
                     }});
  }
  static void TearDownTestSuite() { source_.reset(); }
  void SetUp() override { recorded.clear(); }

  static Classifier run(const std::string& name, Options o = tiny_options(), uint64_t seed = 1,
                        const Task& task = tiny_task(), int64_t local_workers = 1) {
    const Method method = parse_method(name, o);
    return adapt(*source_, task, method, o, {.seed = seed, .local_workers = local_workers}).classifier;
  }
  static Bits bits(const std::string& name, const Options& o = tiny_options(), uint64_t seed = 1) {
    return bits_of(*run(name, o, seed).model);
  }

  // An Adaptation as adapt() begins one, for what asks the parts one by one.
  struct Hand {
    Hand(const Task& t, Options o, const std::string& part) : task(t), options(std::move(o)) {
      const Method method = parse_method(part, options);
      for (const MethodEntry* e : method.parts) a.parts.push_back(e->make());
      for (const auto& p : a.parts) p->begin(a);
    }
    Task task;
    Options options;
    Adaptation a{.task = task,
                 .options = options,
                 .source = *source_,
                 .classifier = {.model = moved_a_little(), .seen = task.split.seen},
                 .device = {},
                 .seed = 1,
                 .lr = 0.01,
                 .train = task.train};
  };
  // The source with weights that were moved, trainable, in training mode.
  static std::unique_ptr<nn::Model> moved_a_little() {
    auto model = nn::clone(*source_);
    Generator g(7);
    for (const auto& [name, p] : model->named_parameters()) {
      const Tensor noise = normal(p.shape(), 0, 0.05, g);
      for (int64_t i = 0; i < p.numel(); ++i) p.data<float>()[i] += noise.data<float>()[i];
    }
    model->requires_grad("*", true);
    model->train();
    return model;
  }

  static inline std::unique_ptr<nn::Model> source_;

 private:
  const ThreadLimit one_{1};
};

inline bool is_statistic(const std::string& name) { return name.find("running_") != std::string::npos; }
inline bool is_classifier(const std::string& name) { return name.starts_with("fc."); }

// Which tensors differ between the source and an adapted model, by what they are.
struct Moved {
  int features = 0, classifier = 0, statistics = 0;
  Moved(const Bits& a, const Bits& b) {
    EXPECT_EQ(a.size(), b.size());
    for (const auto& [name, x] : a)
      if (x != b.at(name)) ++(is_statistic(name) ? statistics : is_classifier(name) ? classifier : features);
  }
};
inline int count(const Bits& b, bool (*which)(const std::string&)) {
  return static_cast<int>(std::count_if(b.begin(), b.end(), [&](const auto& e) { return which(e.first); }));
}

inline double largest_difference(const Bits& a, const Bits& b) {
  double most = 0;
  EXPECT_EQ(a.size(), b.size());
  for (const auto& [name, x] : a)
    for (size_t i = 0; i < x.size(); ++i) test::raise(most, std::abs(static_cast<double>(x[i]) - b.at(name)[i]));
  return most;
}

}  // namespace holt::transfer
