#include "kernels/cuda/runtime.h"

#include <cstdlib>

#include "kernels/cuda/graph_memory.h"
#include "kernels/cuda_backend.h"

namespace holt {
namespace {

std::string version(int v) { return format("{}.{}", v / 1000, v % 1000 / 10); }

struct Found {
  int count = 0;
  std::string reason;
};

// Asked once: neither driver nor GPUs come and go while a program runs.
const Found& found() {
  static const Found f = [] {
    Found r;
    int driver = 0, runtime = 0;
    cudaRuntimeGetVersion(&runtime);
    if (cudaDriverGetVersion(&driver) != cudaSuccess) driver = 0;
    const cudaError_t status = cudaGetDeviceCount(&r.count);
    cudaGetLastError();
    if (status == cudaSuccess && r.count > 0) return r;
    r.count = 0;
    const char* visible = std::getenv("CUDA_VISIBLE_DEVICES");
    if (driver == 0)
      r.reason = "there is no NVIDIA driver (libcuda.so.1 was not found)";
    else if (status == cudaErrorInsufficientDriver)
      r.reason = format("the NVIDIA driver is too old: it offers CUDA {}, and this build of holt uses CUDA {}",
                        version(driver), version(runtime));
    else if (status == cudaErrorNoDevice || status == cudaSuccess)
      r.reason = format("the NVIDIA driver sees no GPU{}",
                        visible ? format(" (CUDA_VISIBLE_DEVICES is '{}')", visible) : std::string());
    else
      r.reason = format("CUDA does not start: {} ({})", cudaGetErrorString(status), cudaGetErrorName(status));
    return r;
  }();
  return f;
}

}  // namespace

namespace cuda {

// cudaGetLastError() also forgets the error, so that the next call does not report it again.
void check_cuda(cudaError_t status, const char* what, Device d) {
  if (status == cudaSuccess) return;
  cudaGetLastError();
  fail("{} on {}: {} ({})", what, d, cudaGetErrorString(status), cudaGetErrorName(status));
}

bool capturing(Cuda gpu) {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  check_cuda(cudaStreamIsCapturing(gpu.stream, &status), "cudaStreamIsCapturing", device_of(gpu));
  return status != cudaStreamCaptureStatusNone;
}

void use(Device d) {
  thread_local int current = -1;
  if (d.index == current) return;
  check(found().count > 0, "{} is not available: {}", d, found().reason);
  check(d.index >= 0 && d.index < found().count, "{} is not available: this machine has {} CUDA device{}", d,
        found().count, found().count == 1 ? "" : "s");
  check(recording_gpu() < 0, "graph: work for {} while a graph of cuda:{} is recorded: a graph is of one GPU", d,
        recording_gpu());
  check_cuda(cudaSetDevice(d.index), "cudaSetDevice", d);
  current = d.index;
}

int device_count() noexcept {
  try {
    return found().count;
  } catch (...) {  // no memory for the reason's text
    return 0;
  }
}
std::string missing_reason() { return found().reason; }

}  // namespace cuda

Cuda current_cuda(int8_t index) {
  cuda::use({Device::cuda, index});
  return {cudaStreamPerThread, index};
}

}  // namespace holt
