// The methods in bf16 and f16: none of them is broken by a network whose activations are 16-bit.
#include "core/autocast.h"
#include "tests/harness/method_fixture.h"

namespace holt::transfer {
namespace {

class PrecisionTest : public MethodsTest {
 protected:
  static Classifier run_in(DType precision, const std::string& name, int64_t local_workers = 1) {
    Options o = tiny_options();
    const Method method = parse_method(name, o);
    return adapt(*source_, tiny_task(), method, o, {.seed = 1, .precision = precision, .local_workers = local_workers})
        .classifier;
  }
};

// What comes out is an f32 classifier near f32's: the logits differ by less than the adaptation moved them, or by a few
// roundings where it moved little.
TEST_F(PrecisionTest, EveryMethodGivesNearlyTheClassifierOfF32) {
  std::vector<std::string> names = standard_methods();
  names.insert(names.end(), {"frozen-bn+lolsgd", "frozen-classifier+lolsgd+distill+rank", "sgd+rank", "sgd+l2sp", "lwf",
                             "bn-stats", "holt+lolsgd", "align+sgd", "gate+sgd"});
  const Task& task = tiny_task();
  const auto logits = [&](const Classifier& c) {
    return evaluate(c, task.test, task.normalize, {}).predictions.logits;
  };
  const std::vector<float> start = logits({.model = nn::clone(*source_)});
  for (const std::string& name : names) {
    SCOPED_TRACE(name);
    const std::vector<float> f32 = logits(run(name));
    for (const DType p : {DType::bf16, DType::f16}) {
      const Classifier c = run_in(p, name);
      EXPECT_EQ(autocast_dtype(), DType::f32);
      for (const auto& [key, t] : c.model->state()) {
        EXPECT_TRUE(t.dtype() == DType::f32 || !is_float(t.dtype())) << key;
        for (const float x : t.to_vector<float>()) ASSERT_TRUE(std::isfinite(x)) << key;
      }
      const std::vector<float> got = logits(c);
      double apart = 0, moved = 0, size = 0;
      for (size_t i = 0; i < got.size(); ++i) {
        if (!std::isfinite(f32[i]) || std::abs(f32[i]) > 1e6) continue;  // a gate's −∞
        apart += (got[i] - f32[i]) * static_cast<double>(got[i] - f32[i]);
        moved += (f32[i] - start[i]) * static_cast<double>(f32[i] - start[i]);
        size += f32[i] * static_cast<double>(f32[i]);
      }
      EXPECT_LE(std::sqrt(apart), 0.5 * std::sqrt(moved) + 4 * epsilon(p) * std::sqrt(size)) << to_string(p);
    }
  }
}

TEST_F(PrecisionTest, LocalsInThreadsComputeAsTheirCallerDoes) {
  for (const char* name : {"lolsgd", "frozen-classifier+lolsgd+distill+rank+l2sp", "holt+lolsgd"})
    for (const DType p : {DType::bf16, DType::f16}) {
      const Bits one = bits_of(*run_in(p, name).model);
      EXPECT_EQ(bits_of(*run_in(p, name, 3).model), one) << name;
      EXPECT_NE(bits_of(*run(name).model), one) << name;
    }
}

// A method that looks inside sees f32, and may compute with it as it always did.
class Look : public Part {
 public:
  Tensor penalty(const Adaptation& a, const Forward& f) override {
    EXPECT_EQ(a.precision, DType::bf16);
    EXPECT_EQ(autocast_dtype(), DType::f32);
    for (const Tensor* t : {&f.images, &f.features, &f.logits}) EXPECT_EQ(t->dtype(), DType::f32);
    EXPECT_EQ(matmul(f.features, f.features, true).dtype(), DType::f32);
    ++seen;
    return mean(square(f.features)) * 1e-3;
  }
  void end(Adaptation&) override { EXPECT_EQ(autocast_dtype(), DType::bf16); }
  static inline int seen = 0;
};

TEST_F(PrecisionTest, PenaltiesSeeF32AndComputeInIt) {
  register_method(
      {.name = "look", .description = "looks", .source = "", .make = [] { return std::make_unique<Look>(); }});
  run_in(DType::bf16, "sgd+look");
  EXPECT_EQ(Look::seen, tiny_options().steps);
}

TEST_F(PrecisionTest, EvaluationInAScopeGivesF32) {
  const Task& task = tiny_task();
  const Classifier c{.model = nn::clone(*source_)};
  const Evaluation exact = evaluate(c, task.test, task.normalize, {});
  const Autocast scope(DType::bf16);
  const Evaluation e = evaluate(c, task.test, task.normalize, {});
  ASSERT_EQ(e.predictions.logits.size(), exact.predictions.logits.size());
  EXPECT_NE(e.predictions.logits, exact.predictions.logits);
  double most = 0, size = 0;
  for (size_t i = 0; i < exact.predictions.logits.size(); ++i) {
    most = std::max<double>(most, std::abs(e.predictions.logits[i] - exact.predictions.logits[i]));
    size = std::max<double>(size, std::abs(exact.predictions.logits[i]));
  }
  EXPECT_LE(most, 4 * epsilon(DType::bf16) * size);
}

}  // namespace
}  // namespace holt::transfer
