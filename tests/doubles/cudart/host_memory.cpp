// Pinned host memory: the GPU copies from and to it by itself, so a copy reads it when the stream gets there.
#include <cstdlib>

#include "state.h"

using namespace holt_double;

extern "C" {

cudaError_t cudaHostAlloc(void** p, size_t bytes, unsigned flags) {
  const Call call("cudaHostAlloc");
  if (call.refused) return call.refused;
  if (const cudaError_t refused = unsafe_in_capture()) return report(refused);
  constexpr unsigned known = cudaHostAllocPortable | cudaHostAllocMapped | cudaHostAllocWriteCombined;
  if (!p || bytes == 0 || (flags & ~known)) return report(cudaErrorInvalidValue);
  *p = std::aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
  if (!*p) return report(cudaErrorMemoryAllocation);
  state().pinned[reinterpret_cast<uintptr_t>(*p)] = bytes;
  return cudaSuccess;
}

cudaError_t cudaFreeHost(void* p) {
  const Call call("cudaFreeHost");
  if (call.refused) return call.refused;
  if (!p) return cudaSuccess;
  if (const cudaError_t refused = unsafe_in_capture()) return report(refused);
  if (state().pinned.erase(reinterpret_cast<uintptr_t>(p)) == 0) return report(cudaErrorInvalidValue);
  std::free(p);  // it does not wait: what still copies from it reads freed memory, and AddressSanitizer tells
  return cudaSuccess;
}

cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* a, const void* p) {
  const Call call("cudaPointerGetAttributes");
  if (call.refused) return call.refused;
  if (!a || !p) return report(cudaErrorInvalidValue);
  *a = {};
  if (const Allocation* d = device_range(p, 0)) {
    a->type = cudaMemoryTypeDevice;
    a->device = d->device;
    a->devicePointer = const_cast<void*>(p);
  } else if (pinned_range(p, 0)) {
    a->type = cudaMemoryTypeHost;
    a->device = current_device();
    a->devicePointer = a->hostPointer = const_cast<void*>(p);
  } else if (in_device_space(p)) {
    return report(cudaErrorInvalidValue);  // a device's address that nothing lives at
  } else {
    a->type = cudaMemoryTypeUnregistered;
    a->device = -2;  // cudaInvalidDeviceId
    a->hostPointer = const_cast<void*>(p);
  }
  return cudaSuccess;
}
}
