// holt info --plans, started as a process.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "kernels/cuda/cudnn_plan_file.h"
#include "kernels/error.h"
#include "kernels/file.h"
#include "tests/harness/program.h"

namespace holt::cudnn {
namespace {

test::Result plans() { return test::holt_run({"info", "--plans"}); }

TEST(CudnnInfo, ListsWhatEachShapeGot) {
  const std::string folder = std::filesystem::temp_directory_path() / format("holt_info_test.{}", getpid());
  std::filesystem::remove_all(folder);
  setenv("HOLT_CACHE_DIR", folder.c_str(), 1);
  EXPECT_EQ(plans().out, "no plans of cuDNN in " + folder + "\n");

  const std::string gpu = "NVIDIA H100 80GB HBM3, sm_90, 132 SMs", path = plan_path(gpu), bad = plan_path("old");
  write_plans(path, {"9.19.0",
                     gpu,
                     {{"conv2d_forward bf16 [1, 3, 3, 8]->8", {Source::heuristic, "eng62_k2=5", 25'000'000, "{}"}},
                      {"conv2d_forward f32 [1, 3, 3, 8]->8", {Source::own, "", 0, "cuDNN offers no engine for it"}}}});
  write_atomically(bad, "half a fi");
  const test::Result r = plans();
  EXPECT_EQ(r.code, 0) << r.err;
  EXPECT_EQ(r.out,
            path + ": cuDNN 9.19.0, " + gpu +
                "\n  heuristic      25.0 MB  conv2d_forward bf16 [1, 3, 3, 8]->8  eng62_k2=5"
                "\n  own             0.0 MB  conv2d_forward f32 [1, 3, 3, 8]->8  (cuDNN offers no engine for it)\n" +
                bad + " is not used: it is not a file of cuDNN plans\n");
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace holt::cudnn
