// main() of every tests/cases/<op>.h: one GoogleTest for each case and device, and one for each gradient.
#include <gtest/gtest.h>

#include "core/autograd.h"
#include "kernels/stream.h"
#include "tests/harness/case.h"

namespace holt::test {
namespace {

class CaseTest : public testing::Test {
 public:
  CaseTest(Case c, Device d) : case_(std::move(c)), device_(d) {}
  void TestBody() override {
    if (device_.kind == Device::cuda && cuda_device_count() == 0) GTEST_SKIP() << cuda_missing_reason();
    EXPECT_EQ(check_case(case_, device_), "");
  }

 private:
  Case case_;
  Device device_;
};

class GradientTest : public testing::Test {
 public:
  explicit GradientTest(Gradient g) : gradient_(std::move(g)) {}
  void TestBody() override { EXPECT_NO_THROW(gradcheck(gradient_.f, gradient_.inputs)) << gradient_.name; }

 private:
  Gradient gradient_;
};

void register_all(Scope scope) {
  for (const CaseFamily* family : families()) {
    for (Device d : {Device{Device::cpu}, Device{Device::simt}, Device{Device::cuda}})
      for (Case& c : family->cases(scope)) {
        if (c.dtype == DType::f64 && d.kind != Device::cpu) continue;  // f64 exists on cpu only
        if (d.kind == Device::cuda && !kHasCuda) continue;
        const std::string name = format("{} {} {}", c.op, c.shape, c.dtype);
        const std::string device = d.kind == Device::cuda ? "cuda" : to_string(d);
        testing::RegisterTest((family->name + "_" + device).c_str(), name.c_str(), nullptr, nullptr, __FILE__, __LINE__,
                              [c = std::move(c), d]() -> testing::Test* { return new CaseTest(c, d); });
      }
    if (family->gradients && scope == Scope::test)
      for (Gradient& g : family->gradients())
        testing::RegisterTest((family->name + "_gradient").c_str(), g.name.c_str(), nullptr, nullptr, __FILE__,
                              __LINE__, [g]() -> testing::Test* { return new GradientTest(g); });
  }
}

}  // namespace
}  // namespace holt::test

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  // "--scope=race": the few tiny shapes for the race checker.
  const bool race = argc > 1 && std::string_view(argv[1]) == "--scope=race";
  holt::test::register_all(race ? holt::test::Scope::race : holt::test::Scope::test);
  return RUN_ALL_TESTS();
}
