// Ranges with op names reach a profiler if HOLT_NVTX=1, and only then.
#include "kernels/trace.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "core/autograd.h"
#include "core/ops.h"
#include "nn/optim.h"

namespace holt {
namespace {

#if !defined(HOLT_NVTX_DOUBLE)
TEST(Trace, NeedsTheDoubleOfAProfiler) { GTEST_SKIP() << "this build has none (HOLT_CUDA=DOUBLE)"; }
#else

// NVTX and holt read the environment once, so each runs in a process of its own.
void step_with(const char* nvtx) {
  setenv("NVTX_INJECTION64_PATH", HOLT_NVTX_DOUBLE, 1);
  setenv("HOLT_NVTX", nvtx, 1);
  {
    Tensor w = full({2, 3}, 0.5);
    w.requires_grad_();
    nn::SGD sgd({{"w", w}}, {.lr = 0.1});
    const TraceRange outer("my step");
    sum(linear(full({4, 3}, 1.0), w)).backward();
    sgd.step();
  }
  std::fprintf(stderr, "end\n");
  std::exit(0);
}

TEST(TraceDeathTest, OpsAreNamed) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto exits = testing::ExitedWithCode(0);
  EXPECT_EXIT(step_with("1"), exits,
              "nvtx: my step\nnvtx:   linear\n(.*\n)*nvtx:   sum\n(.*\n)*nvtx:   backward of sum\n(.*\n)*"
              "nvtx:   backward of linear\n(.*\n)*nvtx:   step of SGD\n(.*\n)*end");
  EXPECT_EXIT(step_with("0"), exits, "^end");
}
#endif

}  // namespace
}  // namespace holt
