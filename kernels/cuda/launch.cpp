#include "kernels/cuda/launch.h"

#include <cstdlib>

#include "kernels/cuda/runtime.h"

namespace holt {
namespace {

bool sync_after_launch() {
  static const bool on = [] {
    const char* env = std::getenv("HOLT_CUDA_SYNC");
    return env && std::string_view(env) == "1";
  }();
  return on;
}

}  // namespace

void check_launch(Cuda gpu, const LaunchReport& l) {
  cudaError_t status = cudaGetLastError();
  const bool wait = status == cudaSuccess && sync_after_launch();
  if (wait) status = cudaStreamSynchronize(gpu.stream);
  if (status == cudaSuccess) return;
  cudaGetLastError();
  fail("{}: {} ({}); grid [{}, {}, {}], block [{}, {}, {}], {} bytes of dynamic shared memory{}", l.kernel,
       cudaGetErrorString(status), cudaGetErrorName(status), l.grid[0], l.grid[1], l.grid[2], l.block[0], l.block[1],
       l.block[2], l.shared_bytes,
       wait ? "" : ". An earlier kernel may be the cause: HOLT_CUDA_SYNC=1 waits for each and names it");
}

}  // namespace holt
