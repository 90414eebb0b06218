#include "kernels/cuda/launch.h"

#include <cstdlib>

#include "kernels/build_info.h"
#include "kernels/cuda/graph_memory.h"
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

// What holds no code that this GPU runs: built for other architectures.
[[noreturn]] void fail_no_image(std::string_view kernel, Cuda gpu, cudaError_t status) {
  int major = 0, minor = 0;
  cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, gpu.index);
  cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, gpu.index);
  fail(
      "{}: {} has compute capability {}.{}, and this build of holt has no code for it, but for {}; configure it with "
      "-DHOLT_CUDA_ARCHITECTURES={}{} ({})",
      kernel, device_of(gpu), major, minor, build_info().cuda_architectures, major, minor, cudaGetErrorName(status));
}

}  // namespace

void check_launch(Cuda gpu, const LaunchReport& l) {
  cudaError_t status = cudaGetLastError();
  const bool wait = status == cudaSuccess && sync_after_launch() && cuda::recording_gpu() < 0;
  if (wait) status = cudaStreamSynchronize(gpu.stream);
  if (status == cudaSuccess) return;
  cudaGetLastError();
  if (status == cudaErrorNoKernelImageForDevice || status == cudaErrorUnsupportedPtxVersion)
    fail_no_image(l.kernel, gpu, status);
  fail("{}: {} ({}); grid [{}, {}, {}], block [{}, {}, {}], {} bytes of dynamic shared memory{}", l.kernel,
       cudaGetErrorString(status), cudaGetErrorName(status), l.grid[0], l.grid[1], l.grid[2], l.block[0], l.block[1],
       l.block[2], l.shared_bytes,
       wait ? "" : ". An earlier kernel may be the cause: HOLT_CUDA_SYNC=1 waits for each and names it");
}

}  // namespace holt
