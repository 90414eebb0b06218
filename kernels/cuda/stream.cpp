// The calling thread's stream, and events in it.
#include "kernels/cuda/graph_memory.h"
#include "kernels/cuda/runtime.h"
#include "kernels/cuda_backend.h"

namespace holt::cuda {

void synchronize(Device d) {
  use(d);
  check_not_recording("synchronize()", "the host may not wait for the GPU, nothing has run yet");
  check_cuda(cudaStreamSynchronize(cudaStreamPerThread), "synchronize", d);
}

CUevent_st* create_event(Device d) {
  use(d);
  cudaEvent_t e;
  check_cuda(cudaEventCreate(&e), "Event", d);
  return e;
}
void destroy_event(CUevent_st* e) noexcept { cudaEventDestroy(e); }
void record_event(Device d, CUevent_st* e) {
  use(d);
  check_not_recording("an Event is recorded", "it would belong to the graph; time whole runs");
  check_cuda(cudaEventRecord(e, cudaStreamPerThread), "Event", d);
}
void wait_event(CUevent_st* e) {
  check_not_recording("an Event is waited for", "the host may not wait for the GPU, nothing has run yet");
  check_cuda(cudaEventSynchronize(e), "Event", Device::cuda);
}
double seconds_between(CUevent_st* earlier, CUevent_st* later) {
  float ms = 0;
  check_cuda(cudaEventElapsedTime(&ms, earlier, later), "Event", Device::cuda);
  return ms * 1e-3;
}

}  // namespace holt::cuda
