// Copies between host and GPU.
#include "kernels/cuda/graph_memory.h"
#include "kernels/cuda/runtime.h"
#include "kernels/cuda_backend.h"

namespace holt::cuda {

void copy_bytes(Device to, void* dst, Device from, const void* src, size_t bytes) {
  const bool both = to.kind == Device::cuda && from.kind == Device::cuda;
  check(!both || to == from, "copy_bytes: copying between two GPUs ({} to {}) is not supported; copy through the cpu",
        from, to);
  const Device d = to.kind == Device::cuda ? to : from;
  use(d);
  if (to.kind != Device::cuda)
    check_not_recording("the host reads from the GPU (item(), to_vector(), printing)", "nothing has run yet");
  if (from.kind != Device::cuda)
    check_not_recording("the host uploads from its own memory",
                        "every replay would upload it again, long after it is gone; make the tensor beforehand");
  const cudaMemcpyKind kind = both                      ? cudaMemcpyDeviceToDevice
                              : to.kind == Device::cuda ? cudaMemcpyHostToDevice
                                                        : cudaMemcpyDeviceToHost;
  check_cuda(cudaMemcpyAsync(dst, src, bytes, kind, cudaStreamPerThread), "copy_bytes", d);
  // From pageable memory CUDA has copied to its own staging buffer when it returns: the GPU need not be waited for.
  cudaPointerAttributes host{};
  const bool staged = kind == cudaMemcpyHostToDevice && cudaPointerGetAttributes(&host, src) == cudaSuccess &&
                      host.type == cudaMemoryTypeUnregistered;
  if (!both && !staged) cuda::synchronize(d);
}

}  // namespace holt::cuda
