// Errors: names and texts as CUDA has them, the last error of each thread, and what makes a context unusable.
#include <array>
#include <cstdio>

#include "queue.h"
#include "state.h"

namespace holt_double {
namespace {

thread_local cudaError_t last_error = cudaSuccess;

struct Text {
  cudaError_t error;
  const char *name, *text;
};
#define NAMED(error, text) \
  Text { error, #error, text }
constexpr std::array texts = {
    NAMED(cudaSuccess, "no error"),
    NAMED(cudaErrorInvalidValue, "invalid argument"),
    NAMED(cudaErrorMemoryAllocation, "out of memory"),
    NAMED(cudaErrorInitializationError, "initialization error"),
    NAMED(cudaErrorInvalidConfiguration, "invalid configuration argument"),
    NAMED(cudaErrorInvalidMemcpyDirection, "invalid copy direction for memcpy"),
    NAMED(cudaErrorInsufficientDriver, "CUDA driver version is insufficient for CUDA runtime version"),
    NAMED(cudaErrorNoDevice, "no CUDA-capable device is detected"),
    NAMED(cudaErrorInvalidDevice, "invalid device ordinal"),
    NAMED(cudaErrorInvalidResourceHandle, "invalid resource handle"),
    NAMED(cudaErrorNoKernelImageForDevice, "no kernel image is available for execution on the device"),
    NAMED(cudaErrorUnsupportedPtxVersion, "the provided PTX was compiled with an unsupported toolchain."),
    NAMED(cudaErrorIllegalState, "the operation cannot be performed in the present state"),
    NAMED(cudaErrorNotReady, "device not ready"),
    NAMED(cudaErrorIllegalAddress, "an illegal memory access was encountered"),
    NAMED(cudaErrorLaunchFailure, "unspecified launch failure"),
    NAMED(cudaErrorNotPermitted, "operation not permitted"),
    NAMED(cudaErrorNotSupported, "operation not supported"),
    NAMED(cudaErrorStreamCaptureUnsupported, "operation not permitted when stream is capturing"),
    NAMED(cudaErrorStreamCaptureInvalidated, "operation failed due to a previous error during capture"),
    NAMED(cudaErrorStreamCaptureUnmatched, "operation would result in a merge of separate capture sequences"),
    NAMED(cudaErrorStreamCaptureUnjoined, "capturing stream has unjoined work"),
    NAMED(cudaErrorStreamCaptureIsolation, "dependency created on uncaptured work in another stream"),
    NAMED(cudaErrorStreamCaptureImplicit,
          "operation would make the legacy stream depend on a capturing blocking stream"),
    NAMED(cudaErrorCapturedEvent, "operation not permitted on an event last recorded in a capturing stream"),
    NAMED(cudaErrorStreamCaptureWrongThread,
          "attempt to terminate a thread-local capture sequence from another thread"),
};
#undef NAMED

const Text* find(cudaError_t error) {
  for (const Text& t : texts)
    if (t.error == error) return &t;
  return nullptr;
}

}  // namespace

cudaError_t report(cudaError_t error) {
  if (error != cudaSuccess) last_error = error;
  return error;
}

void break_context(const std::string& why) {
  State& s = state();
  if (s.sticky != cudaSuccess) return;
  s.sticky = cudaErrorLaunchFailure;
  s.fault = why;
  std::fprintf(stderr, "holt_cudart_double: the context is unusable: %s\n", why.c_str());
}

Call::Call(const char* function) {
  if (inside_work()) {  // as a host function: no CUDA call from within the stream; the lock is held already
    refused = report(cudaErrorNotPermitted);
    return;
  }
  lock_ = std::unique_lock(state().lock);
  State& s = state();
  if (auto planned = s.planned_failures.find(function); planned != s.planned_failures.end()) {
    refused = report(planned->second);
    s.planned_failures.erase(planned);
  } else if (s.sticky != cudaSuccess) {
    refused = report(s.sticky);
  }
}

}  // namespace holt_double

using namespace holt_double;

extern "C" {

cudaError_t cudaGetLastError() {
  const cudaError_t error = last_error;
  last_error = state().sticky;
  return error;
}
cudaError_t cudaPeekAtLastError() { return last_error; }
const char* cudaGetErrorName(cudaError_t error) {
  const Text* t = find(error);
  return t ? t->name : "unrecognized error code";
}
const char* cudaGetErrorString(cudaError_t error) {
  const Text* t = find(error);
  return t ? t->text : "unrecognized error code";
}

const char* holt_double_fault() { return state().fault.c_str(); }
void holt_double_forget_fault() {
  const std::lock_guard lock(state().lock);
  State& s = state();
  for (const auto& stream : streams_of(-1)) {
    stream->items.clear();
    stream->done = stream->submitted;
  }
  for (Pool* pool : s.pools) pool->pending.clear();
  s.sticky = last_error = cudaSuccess;
  s.fault.clear();
}
void holt_double_fail_next(const char* function, cudaError_t error) {
  const std::lock_guard lock(state().lock);
  state().planned_failures[function] = error;
}
}
