// Stream capture and graphs. A graph is its work in the order of capture, which is one of the orders it allows.
#include "state.h"

namespace holt_double {

cudaError_t forbidden_in_capture(const Stream& stream) {
  if (stream.capture->invalid) return cudaErrorStreamCaptureInvalidated;
  stream.capture->invalid = true;
  return cudaErrorStreamCaptureUnsupported;
}

// Mode "global": no thread may; "thread local": this one may not; "relaxed": all may.
cudaError_t unsafe_in_capture() {
  cudaError_t error = cudaSuccess;
  for (const auto& c : state().captures)
    if (c->mode == cudaStreamCaptureModeGlobal ||
        (c->mode == cudaStreamCaptureModeThreadLocal && c->thread == thread_number())) {
      c->invalid = true;
      error = cudaErrorStreamCaptureUnsupported;
    }
  return error;
}

cudaError_t legacy_in_capture(int device) {
  cudaError_t error = cudaSuccess;
  for (const auto& c : state().captures)
    for (const auto& member : c->members)
      if (member->device == device && member->blocking) {
        c->invalid = true;
        error = cudaErrorStreamCaptureImplicit;
      }
  return error;
}

struct Recorded {
  std::vector<std::function<void()>> nodes;
};

}  // namespace holt_double

using namespace holt_double;

struct CUgraph_st {
  std::shared_ptr<const Recorded> recorded;
};
struct CUgraphExec_st {
  std::shared_ptr<const Recorded> recorded;
  int device;
};

extern "C" {

cudaError_t cudaStreamBeginCapture(cudaStream_t handle, cudaStreamCaptureMode mode) {
  const Call call("cudaStreamBeginCapture");
  if (call.refused) return call.refused;
  const auto stream = find_stream(handle);
  if (!stream) return report(cudaErrorInvalidResourceHandle);
  if (stream == state().gpus[static_cast<size_t>(stream->device)]->legacy)
    return report(cudaErrorStreamCaptureUnsupported);
  if (stream->capture) return report(cudaErrorIllegalState);
  stream->capture = std::make_shared<Capture>(Capture{.mode = mode, .thread = thread_number(), .origin = stream});
  stream->capture->members.push_back(stream);
  state().captures.insert(stream->capture);
  return cudaSuccess;
}

cudaError_t cudaStreamIsCapturing(cudaStream_t handle, cudaStreamCaptureStatus* status) {
  const Call call("cudaStreamIsCapturing");
  if (call.refused) return call.refused;
  const auto stream = find_stream(handle);
  if (!stream) return report(cudaErrorInvalidResourceHandle);
  if (!status) return report(cudaErrorInvalidValue);
  *status = !stream->capture           ? cudaStreamCaptureStatusNone
            : stream->capture->invalid ? cudaStreamCaptureStatusInvalidated
                                       : cudaStreamCaptureStatusActive;
  return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t handle, cudaGraph_t* graph) {
  const Call call("cudaStreamEndCapture");
  if (call.refused) return call.refused;
  const auto stream = find_stream(handle);
  if (!stream) return report(cudaErrorInvalidResourceHandle);
  if (!graph) return report(cudaErrorInvalidValue);
  *graph = nullptr;
  const std::shared_ptr<Capture> capture = stream->capture;
  if (!capture) return report(cudaErrorIllegalState);
  if (capture->origin != stream) return report(cudaErrorStreamCaptureUnmatched);
  if (capture->mode != cudaStreamCaptureModeRelaxed && capture->thread != thread_number())
    return report(cudaErrorStreamCaptureWrongThread);
  cudaError_t error = capture->invalid ? cudaErrorStreamCaptureInvalidated : cudaSuccess;
  const Clock& known = capture->clocks[stream.get()];
  for (const auto& member : capture->members) {
    const Clock& own = capture->clocks[member.get()];
    const auto made = own.find(member.get()), seen = known.find(member.get());
    if (!error && made != own.end() && (seen == known.end() || seen->second < made->second))
      error = cudaErrorStreamCaptureUnjoined;
    member->capture = nullptr;
  }
  state().captures.erase(capture);
  if (error) return report(error);
  *graph = new CUgraph_st{std::make_shared<const Recorded>(Recorded{std::move(capture->nodes)})};
  state().graphs.insert(*graph);
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long flags) {
  const Call call("cudaGraphInstantiate");
  if (call.refused) return call.refused;
  if (!executable || !state().graphs.contains(graph) || flags != 0) return report(cudaErrorInvalidValue);
  *executable = new CUgraphExec_st{graph->recorded, current_device()};
  state().executables.insert(*executable);
  return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t handle) {
  const Call call("cudaGraphLaunch");
  if (call.refused) return call.refused;
  const auto stream = find_stream(handle);
  if (!stream) return report(cudaErrorInvalidResourceHandle);
  if (!state().executables.contains(executable) || executable->device != stream->device)
    return report(cudaErrorInvalidValue);
  if (stream->capture) return report(forbidden_in_capture(*stream));  // a child graph: holt has none
  return report(submit(stream, {.run = [recorded = executable->recorded] {
                         for (const auto& node : recorded->nodes)
                           if (node) node();
                       }}));
}

cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t* nodes, size_t* count) {
  const Call call("cudaGraphGetNodes");
  if (call.refused) return call.refused;
  if (!state().graphs.contains(graph) || !count || nodes) return report(cudaErrorInvalidValue);  // only counted here
  *count = graph->recorded->nodes.size();
  return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  const Call call("cudaGraphExecDestroy");
  if (call.refused) return call.refused;
  if (state().executables.erase(executable) == 0) return report(cudaErrorInvalidValue);
  delete executable;  // what was launched goes on
  return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  const Call call("cudaGraphDestroy");
  if (call.refused) return call.refused;
  if (state().graphs.erase(graph) == 0) return report(cudaErrorInvalidValue);
  delete graph;
  return cudaSuccess;
}
}
