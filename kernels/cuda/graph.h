// holt::Graph (kernels/graph.h) on a GPU.
#pragma once
#include <functional>
#include <memory>

#include "kernels/cuda/graph_memory.h"
#include "kernels/recording.h"

struct CUgraphExec_st;

namespace holt::cuda {

class StepGraph {
 public:
  explicit StepGraph(Device d);
  ~StepGraph();
  StepGraph(const StepGraph&) = delete;
  StepGraph& operator=(const StepGraph&) = delete;

  void run(const std::function<void()>& work);
  bool recorded() const { return graph_ != nullptr; }

 private:
  void record(const std::function<void()>& work);
  void replay();
  void forget() noexcept;

  Device device_;
  int runs_ = 0;
  std::shared_ptr<GraphMemory> memory_;
  std::unique_ptr<Recording> numbers_;
  void* numbers_on_device_ = nullptr;
  CUgraphExec_st* graph_ = nullptr;
};

}  // namespace holt::cuda
