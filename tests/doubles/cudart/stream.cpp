// Streams: made, destroyed, waited for.
#include "state.h"

namespace holt_double {
void release_over_threshold();
}

using namespace holt_double;

extern "C" {

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  const Call call("cudaStreamCreateWithFlags");
  if (call.refused) return call.refused;
  if (!stream || (flags & ~unsigned{cudaStreamNonBlocking})) return report(cudaErrorInvalidValue);
  if (!device_exists(current_device())) return report(cudaErrorNoDevice);
  auto made = std::make_shared<Stream>(
      Stream{.device = current_device(), .blocking = flags == 0, .eager = state().new_streams_eager});
  *stream = reinterpret_cast<cudaStream_t>(made.get());
  state().streams[*stream] = made;
  return cudaSuccess;
}

// Work that is queued still runs, for events that were recorded in it.
cudaError_t cudaStreamDestroy(cudaStream_t handle) {
  const Call call("cudaStreamDestroy");
  if (call.refused) return call.refused;
  const auto stream = find_stream(handle);
  if (!stream || !state().streams.contains(handle)) return report(cudaErrorInvalidResourceHandle);
  if (stream->capture) return report(forbidden_in_capture(*stream));
  run_all(stream);  // CUDA lets it finish by itself; when is nobody's business any more
  state().streams.erase(handle);
  return report(state().sticky);
}

cudaError_t cudaStreamSynchronize(cudaStream_t handle) {
  const Call call("cudaStreamSynchronize");
  if (call.refused) return call.refused;
  const auto stream = find_stream(handle);
  if (!stream) return report(cudaErrorInvalidResourceHandle);
  if (stream->capture) return report(forbidden_in_capture(*stream));
  run_all(stream);
  release_over_threshold();
  return report(state().sticky);
}

cudaError_t cudaStreamQuery(cudaStream_t handle) {
  const Call call("cudaStreamQuery");
  if (call.refused) return call.refused;
  const auto stream = find_stream(handle);
  if (!stream) return report(cudaErrorInvalidResourceHandle);
  if (stream->capture) return report(forbidden_in_capture(*stream));
  if (stream->done == stream->submitted) return cudaSuccess;
  run_until(stream, stream->done + 1);  // time passes: who polls gets there
  return cudaErrorNotReady;             // no error: not kept as the last one
}

cudaError_t cudaStreamGetDevice(cudaStream_t handle, int* device) {
  const Call call("cudaStreamGetDevice");
  if (call.refused) return call.refused;
  const auto stream = find_stream(handle);
  if (!stream) return report(cudaErrorInvalidResourceHandle);
  if (!device) return report(cudaErrorInvalidValue);
  *device = stream->device;
  return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t handle, cudaEvent_t event_handle, unsigned flags) {
  const Call call("cudaStreamWaitEvent");
  if (call.refused) return call.refused;
  const auto stream = find_stream(handle);
  const auto found = state().events.find(event_handle);
  if (!stream || found == state().events.end()) return report(cudaErrorInvalidResourceHandle);
  if (flags != cudaEventWaitDefault) return report(cudaErrorInvalidValue);
  const Event& event = *found->second;
  if (stream->capture && stream->capture->invalid) return report(cudaErrorStreamCaptureInvalidated);
  if (event.capture) {
    if (!state().captures.contains(event.capture)) return report(cudaErrorCapturedEvent);  // that capture has ended
    if (stream->capture && stream->capture != event.capture) {
      stream->capture->invalid = event.capture->invalid = true;
      return report(cudaErrorStreamCaptureUnmatched);
    }
    if (!stream->capture) {  // the stream joins the capture
      stream->capture = event.capture;
      event.capture->members.push_back(stream);
    }
    Clock& mine = stream->capture->clocks[stream.get()];
    for (const auto& [other, n] : event.clock) mine[other] = std::max(mine[other], n);
    return cudaSuccess;
  }
  if (stream->capture) {
    stream->capture->invalid = true;
    return report(cudaErrorStreamCaptureIsolation);
  }
  if (!event.recorded) return cudaSuccess;
  stream->items.push_back({.after = {event.ticket}});  // events of any GPU may be waited for
  ++stream->submitted;
  if (stream->eager) run_all(stream);
  return cudaSuccess;
}
}
