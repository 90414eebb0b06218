// Events: places in a stream's order, with the time at which they were reached.
#include <chrono>
#include <cmath>

#include "state.h"

namespace holt_double {
namespace {

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

std::shared_ptr<Event> find_event(cudaEvent_t handle) {
  const auto found = state().events.find(handle);
  return found == state().events.end() ? nullptr : found->second;
}

}  // namespace
}  // namespace holt_double

using namespace holt_double;

extern "C" {

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* handle, unsigned flags) {
  const Call call("cudaEventCreateWithFlags");
  if (call.refused) return call.refused;
  if (!handle || (flags & ~unsigned{cudaEventDisableTiming | cudaEventBlockingSync}))
    return report(cudaErrorInvalidValue);
  if (!device_exists(current_device())) return report(cudaErrorNoDevice);
  auto made = std::make_shared<Event>();
  made->device = current_device();
  made->timing = !(flags & cudaEventDisableTiming);
  *handle = reinterpret_cast<cudaEvent_t>(made.get());
  state().events[*handle] = made;
  return cudaSuccess;
}
cudaError_t cudaEventCreate(cudaEvent_t* handle) { return cudaEventCreateWithFlags(handle, cudaEventDefault); }

cudaError_t cudaEventDestroy(cudaEvent_t handle) {
  const Call call("cudaEventDestroy");
  if (call.refused) return call.refused;
  return state().events.erase(handle) ? cudaSuccess : report(cudaErrorInvalidResourceHandle);
}

cudaError_t cudaEventRecord(cudaEvent_t handle, cudaStream_t stream_handle) {
  const Call call("cudaEventRecord");
  if (call.refused) return call.refused;
  const auto event = find_event(handle);
  const auto stream = find_stream(stream_handle);
  if (!event || !stream || event->device != stream->device) return report(cudaErrorInvalidResourceHandle);
  if (stream->capture) {
    if (stream->capture->invalid) return report(cudaErrorStreamCaptureInvalidated);
    event->capture = stream->capture;
    event->clock = stream->capture->clocks[stream.get()];
    return cudaSuccess;
  }
  auto time = std::make_shared<double>(NAN);
  if (const cudaError_t refused = submit(stream, {.run = [time] { *time = now(); }})) return report(refused);
  *event = {event->device, event->timing, true, {stream, stream->submitted}, time, nullptr, {}};
  return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t handle) {
  const Call call("cudaEventSynchronize");
  if (call.refused) return call.refused;
  const auto event = find_event(handle);
  if (!event) return report(cudaErrorInvalidResourceHandle);
  if (event->capture) {
    event->capture->invalid = true;
    return report(cudaErrorCapturedEvent);
  }
  if (!event->recorded) return cudaSuccess;
  run_until(event->ticket.stream, event->ticket.position);
  return report(state().sticky);
}

cudaError_t cudaEventQuery(cudaEvent_t handle) {
  const Call call("cudaEventQuery");
  if (call.refused) return call.refused;
  const auto event = find_event(handle);
  if (!event) return report(cudaErrorInvalidResourceHandle);
  if (event->capture) {
    event->capture->invalid = true;
    return report(cudaErrorCapturedEvent);
  }
  if (const cudaError_t refused = unsafe_in_capture()) return report(refused);
  if (!event->recorded || event->ticket.stream->done >= event->ticket.position) return cudaSuccess;
  run_until(event->ticket.stream, event->ticket.stream->done + 1);
  return cudaErrorNotReady;
}

cudaError_t cudaEventElapsedTime(float* ms, cudaEvent_t earlier, cudaEvent_t later) {
  const Call call("cudaEventElapsedTime");
  if (call.refused) return call.refused;
  const auto a = find_event(earlier), b = find_event(later);
  if (!ms) return report(cudaErrorInvalidValue);
  if (!a || !b || !a->timing || !b->timing || !a->recorded || !b->recorded || a->device != b->device)
    return report(cudaErrorInvalidResourceHandle);
  if (std::isnan(*a->time) || std::isnan(*b->time)) return report(cudaErrorNotReady);
  *ms = static_cast<float>((*b->time - *a->time) * 1e3);
  return cudaSuccess;
}
}
