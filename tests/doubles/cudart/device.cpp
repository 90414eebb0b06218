// Devices: the driver, how many there are, which is the thread's, what they are like (an H100's numbers).
#include <cstdio>
#include <cstring>

#include "state.h"

using namespace holt_double;

extern "C" {

cudaError_t cudaRuntimeGetVersion(int* version) {
  if (!version) return report(cudaErrorInvalidValue);
  *version = state().runtime;
  return cudaSuccess;
}
cudaError_t cudaDriverGetVersion(int* version) {  // 0 and success where there is no driver
  if (!version) return report(cudaErrorInvalidValue);
  *version = state().driver;
  return cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int* count) {
  const Call call("cudaGetDeviceCount");
  if (call.refused) return call.refused;
  if (!count) return report(cudaErrorInvalidValue);
  *count = static_cast<int>(state().gpus.size());
  if (state().driver < state().runtime) return report(cudaErrorInsufficientDriver);
  return *count > 0 ? cudaSuccess : report(cudaErrorNoDevice);
}

cudaError_t cudaSetDevice(int device) {
  const Call call("cudaSetDevice");
  if (call.refused) return call.refused;
  if (!device_exists(device)) return report(cudaErrorInvalidDevice);
  current_device() = device;
  return cudaSuccess;
}
cudaError_t cudaGetDevice(int* device) {
  const Call call("cudaGetDevice");
  if (call.refused) return call.refused;
  if (!device) return report(cudaErrorInvalidValue);
  *device = current_device();
  return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  const Call call("cudaDeviceGetAttribute");
  if (call.refused) return call.refused;
  if (!device_exists(device)) return report(cudaErrorInvalidDevice);
  if (!value) return report(cudaErrorInvalidValue);
  switch (attribute) {
    case cudaDevAttrMemoryPoolsSupported:
      *value = 1;
      break;
    case cudaDevAttrComputeCapabilityMajor:
      *value = 9;
      break;
    case cudaDevAttrComputeCapabilityMinor:
      *value = 0;
      break;
    case cudaDevAttrMultiProcessorCount:
      *value = 132;
      break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
      *value = 227 * 1024;
      break;
    case cudaDevAttrWarpSize:
      *value = 32;
      break;
    default:  // one that the double knows nothing of: say so rather than invent
      return report(cudaErrorNotSupported);
  }
  return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* p, int device) {
  const Call call("cudaGetDeviceProperties");
  if (call.refused) return call.refused;
  if (!device_exists(device)) return report(cudaErrorInvalidDevice);
  if (!p) return report(cudaErrorInvalidValue);
  std::memset(p, 0, sizeof *p);
  std::snprintf(p->name, sizeof p->name, "double of a GPU");
  p->major = 9;
  p->multiProcessorCount = 132;
  p->totalGlobalMem = state().total_memory;
  p->warpSize = 32;
  p->sharedMemPerBlock = 48 * 1024;
  p->sharedMemPerBlockOptin = 227 * 1024;
  p->maxThreadsPerBlock = 1024;
  return cudaSuccess;
}

cudaError_t cudaDeviceSynchronize() {
  const Call call("cudaDeviceSynchronize");
  if (call.refused) return call.refused;
  if (const cudaError_t refused = unsafe_in_capture()) return report(refused);
  for (const auto& stream : streams_of(current_device()))
    if (!stream->capture) run_all(stream);
  return report(state().sticky);
}
}
