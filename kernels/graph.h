// A piece of GPU work recorded once and then replayed whole, as a CUDA graph: a training step of hundreds of launches
// costs the host one call.
//
//   Graph step(device);
//   for (…) { copy the batch into fixed tensors; step.run([&] { forward, backward, optimiser; }); }
//
// The first run is an ordinary one, in which whatever is made once is made (momenta, vendors' plans). The second is
// ordinary too, but its memory comes from the graph's own store, which grows as asked. The third records: every block
// comes from that store, so that the addresses are the graph's for good. It and all later ones replay; `work` is then
// not called any more. On cpu and simt every run calls it.
//
// What makes this legal is checked, and is an Error that names it; the stream is usable afterwards, and the next run
// starts again from the first:
//   · the host neither waits for the GPU nor reads from it (loss.item(), printing), nor uploads from its own memory
//   · no memory is taken that the second run did not take: shapes and branches are the same every time
//   · all work is on the one GPU
// Numbers that the host computes for each run go through recorded_value() (kernels/recording.h), as the optimisers' and
// dropout's do; any other is the recorded run's for good. What `work` does besides launching (counting, logging) is
// done in the first three runs only.
#pragma once
#include <functional>
#include <memory>

#include "kernels/device.h"

namespace holt {

class Graph {
 public:
  explicit Graph(Device device);
  ~Graph();
  Graph(Graph&&) noexcept;
  Graph& operator=(Graph&&) noexcept;

  /// Runs `work`, or what was recorded of it. From one thread only.
  void run(const std::function<void()>& work);
  /// Whether run() replays.
  bool recorded() const;

 private:
  struct Recorded;
  std::unique_ptr<Recorded> recorded_;  // null on cpu and simt
};

}  // namespace holt
