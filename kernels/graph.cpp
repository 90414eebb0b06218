#include "kernels/graph.h"

#if defined(HOLT_HAS_CUDA)
#include "kernels/cuda/graph.h"
#endif

namespace holt {

#if defined(HOLT_HAS_CUDA)
struct Graph::Recorded : cuda::StepGraph {
  using StepGraph::StepGraph;
};
#else
struct Graph::Recorded {
  void run(const std::function<void()>& work) { work(); }
  bool recorded() const { return false; }
};
#endif

Graph::Graph(Device device) {
  if (device.kind != Device::cuda) return;
#if defined(HOLT_HAS_CUDA)
  recorded_ = std::make_unique<Recorded>(device);
#else
  fail("graph: this build of holt has no CUDA, got {}", device);
#endif
}
Graph::~Graph() = default;
Graph::Graph(Graph&&) noexcept = default;
Graph& Graph::operator=(Graph&&) noexcept = default;

void Graph::run(const std::function<void()>& work) { recorded_ ? recorded_->run(work) : work(); }
bool Graph::recorded() const { return recorded_ && recorded_->recorded(); }

}  // namespace holt
