// Copies and fills in stream order.
//
//   pageable → device   read when the call is made (CUDA stages it), written when the stream gets there
//   device → pageable   may be done late: CUDA only promises it after a synchronisation, and so it is here
//   pinned              both ends are touched when the stream gets there
#include <cstring>

#include "state.h"

namespace holt_double {
namespace {

// An end of a copy: on the device it must lie in one allocation of the stream's GPU, on the host outside of all GPUs.
bool fits(const void* p, size_t bytes, bool on_device, int device) {
  if (!on_device) return !in_device_space(p);
  const Allocation* a = device_range(p, bytes);
  return a && a->device == device;
}

cudaError_t copy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, const std::shared_ptr<Stream>& stream) {
  if (kind != cudaMemcpyHostToDevice && kind != cudaMemcpyDeviceToHost && kind != cudaMemcpyDeviceToDevice)
    return cudaErrorInvalidMemcpyDirection;  // holt always knows which; cudaMemcpyDefault would hide a mistake
  if (bytes == 0) return cudaSuccess;
  const bool to_device = kind != cudaMemcpyDeviceToHost, from_device = kind != cudaMemcpyHostToDevice;
  if (!to || !from || !fits(to, bytes, to_device, stream->device) || !fits(from, bytes, from_device, stream->device))
    return cudaErrorInvalidValue;
  const void* const host = from_device ? (to_device ? nullptr : to) : from;
  const bool pageable = host && !pinned_range(host, bytes);
  if (pageable && stream->capture) return forbidden_in_capture(*stream);  // a replay would read memory that is gone
  if (pageable && !from_device) {
    const auto* first = static_cast<const char*>(from);
    return submit(stream, {.run = [to, staged = std::vector<char>(first, first + bytes)] {
                    std::memcpy(to, staged.data(), staged.size());
                  }});
  }
  return submit(stream, {.run = [=] { std::memmove(to, from, bytes); }});
}

}  // namespace
}  // namespace holt_double

using namespace holt_double;

extern "C" {

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t handle) {
  const Call call("cudaMemcpyAsync");
  if (call.refused) return call.refused;
  const auto stream = find_stream(handle);
  return report(stream ? copy(to, from, bytes, kind, stream) : cudaErrorInvalidResourceHandle);
}

// The legacy stream's, and the host waits for it.
cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  const Call call("cudaMemcpy");
  if (call.refused) return call.refused;
  if (const cudaError_t refused = unsafe_in_capture()) return report(refused);
  const auto stream = find_stream(cudaStreamLegacy);
  if (!stream) return report(cudaErrorNoDevice);
  if (const cudaError_t refused = copy(to, from, bytes, kind, stream)) return report(refused);
  run_all(stream);
  return report(state().sticky);
}

cudaError_t cudaMemsetAsync(void* p, int value, size_t bytes, cudaStream_t handle) {
  const Call call("cudaMemsetAsync");
  if (call.refused) return call.refused;
  const auto stream = find_stream(handle);
  if (!stream) return report(cudaErrorInvalidResourceHandle);
  if (bytes == 0) return cudaSuccess;
  if (!p || !fits(p, bytes, true, stream->device)) return report(cudaErrorInvalidValue);
  return report(submit(stream, {.run = [=] { std::memset(p, value, bytes); }}));
}
}
