#include "kernels/cuda/cudnn_library.h"

#include <cuda_runtime_api.h>
#include <cudnn.h>

#include <array>
#include <mutex>
#include <vector>

#include "kernels/cuda/runtime.h"

namespace holt::cudnn {
namespace {

void check_cudnn(cudnnStatus_t status, const char* op, const char* what) {
  if (status == CUDNN_STATUS_SUCCESS) return;
  static const auto text = library().function<decltype(cudnnGetErrorString)>("cudnnGetErrorString");
  fail("{}: cuDNN {}: {}: {}", op, version_text(), what, text(status));
}

constexpr size_t kGpus = 128;

// Handles that no thread holds. Never destroyed: at exit the driver may be gone already.
struct Pool {
  std::mutex mutex;
  std::array<std::vector<cudnnHandle_t>, kGpus> free;
};
Pool& pool() {
  static Pool& p = *new Pool;
  return p;
}

// A thread's handles, and the stream that each was last given.
struct ThreadHandles {
  struct Held {
    cudnnHandle_t handle = nullptr;
    CUstream_st* stream = nullptr;
  };
  std::array<Held, kGpus> held{};
  ~ThreadHandles() {
    const std::lock_guard lock(pool().mutex);
    for (size_t i = 0; i < kGpus; ++i)
      if (held[i].handle) pool().free[i].push_back(held[i].handle);
  }
};

cudnnHandle_t take_or_make(Cuda gpu, const char* op) {
  {
    const std::lock_guard lock(pool().mutex);
    auto& free = pool().free[static_cast<size_t>(gpu.index)];
    if (!free.empty()) {
      const cudnnHandle_t h = free.back();
      free.pop_back();
      return h;
    }
  }
  check(!cuda::capturing(gpu),
        "{}: cuDNN must be started before a stream is captured into a graph; run one warm-up step before the capture",
        op);
  cudnnHandle_t h = nullptr;
  check_cudnn(library().function<decltype(cudnnCreate)>("cudnnCreate")(&h), op, "cudnnCreate");
  return h;
}

}  // namespace

const cuda::SharedLibrary& library() {
  static const cuda::SharedLibrary& opened =
      *new cuda::SharedLibrary("cuDNN", "HOLT_CUDNN_LIBRARY", format("libcudnn.so.{}", CUDNN_MAJOR));
  return opened;
}

int64_t version() {
  static const auto v = static_cast<int64_t>(library().function<decltype(cudnnGetVersion)>("cudnnGetVersion")());
  return v;
}

std::string version_text() { return format("{}.{}.{}", version() / 10000, version() / 100 % 100, version() % 100); }

cudnnContext* handle(Cuda gpu, const char* op) {
  thread_local ThreadHandles mine;
  auto& [h, stream] = mine.held[static_cast<size_t>(gpu.index)];
  if (!h) {
    h = take_or_make(gpu, op);
    stream = nullptr;
  }
  if (!stream || stream != gpu.stream) {
    static const auto set_stream = library().function<decltype(cudnnSetStream)>("cudnnSetStream");
    check_cudnn(set_stream(h, gpu.stream), op, "cudnnSetStream");
    stream = gpu.stream;
  }
  return h;
}

std::string gpu_name(int8_t index) {
  cudaDeviceProp p{};
  cuda::check_cuda(cudaGetDeviceProperties(&p, index), "cudaGetDeviceProperties", {Device::cuda, index});
  return format("{}, sm_{}{}, {} SMs", p.name, p.major, p.minor, p.multiProcessorCount);
}

}  // namespace holt::cudnn
