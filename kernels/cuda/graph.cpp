#include "kernels/cuda/graph.h"

#include "kernels/cuda/runtime.h"
#include "kernels/cuda_backend.h"

namespace holt::cuda {
namespace {

// The calling thread's stream records while it lives. What goes wrong in between ends the capture, and what was
// recorded is dropped: the stream is as before.
class Capture {
 public:
  explicit Capture(Device d) : device_(d) {
    // Other threads (loaders) may go on with calls that this one may not make.
    check_cuda(cudaStreamBeginCapture(cudaStreamPerThread, cudaStreamCaptureModeThreadLocal), "graph", d);
    recording_gpu() = d.index;
  }
  ~Capture() {
    if (!ended_) end();
    if (graph_) cudaGraphDestroy(graph_);
    cudaGetLastError();
  }
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;

  CUgraphExec_st* instantiate() {
    check_cuda(end(), "graph: recording", device_);
    cudaGraphExec_t executable = nullptr;
    check_cuda(cudaGraphInstantiate(&executable, graph_, 0), "graph: instantiating", device_);
    return executable;
  }

 private:
  cudaError_t end() {
    ended_ = true;
    recording_gpu() = -1;
    return cudaStreamEndCapture(cudaStreamPerThread, &graph_);
  }
  Device device_;
  bool ended_ = false;
  cudaGraph_t graph_ = nullptr;
};

}  // namespace

StepGraph::StepGraph(Device d) : device_(d) { use(d); }
StepGraph::~StepGraph() { forget(); }

void StepGraph::forget() noexcept {
  if (graph_) cudaGraphExecDestroy(graph_);
  if (numbers_on_device_) cuda::deallocate(device_, numbers_on_device_, 0);
  graph_ = nullptr;
  numbers_on_device_ = nullptr;
  numbers_.reset();
  memory_.reset();
  runs_ = 0;
}

void StepGraph::run(const std::function<void()>& work) {
  check(!Recording::current(), "graph: a graph may not be run inside another one's work");
  use(device_);
  try {
    if (runs_ == 0) {
      work();
    } else if (runs_ == 1) {
      memory_ = std::make_shared<GraphMemory>(device_);
      numbers_ = std::make_unique<Recording>();
      const GraphMemory::Scope from_graph(*memory_, false);
      const Recording::Scope counting(*numbers_);
      work();
    } else {
      if (runs_ == 2) record(work);
      replay();
    }
    runs_ = runs_ < 3 ? runs_ + 1 : 3;
  } catch (...) {
    forget();
    throw;
  }
}

void StepGraph::record(const std::function<void()>& work) {
  numbers_on_device_ = cuda::allocate(device_, numbers_->bytes());
  numbers_->start(numbers_on_device_);
  const GraphMemory::Scope from_graph(*memory_, true);
  const Recording::Scope recording(*numbers_);
  Capture capture(device_);
  work();
  graph_ = capture.instantiate();
}

void StepGraph::replay() {
  const std::vector<std::byte>& numbers = numbers_->refresh();
  if (!numbers.empty())  // from pageable memory: read when the call returns, so the next refresh may overwrite it
    cuda::copy_bytes(device_, numbers_on_device_, Device::cpu, numbers.data(), numbers.size());
  check_cuda(cudaGraphLaunch(graph_, cudaStreamPerThread), "graph: replaying", device_);
}

}  // namespace holt::cuda
