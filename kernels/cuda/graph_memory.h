// The memory of one recorded graph. Blocks are handed out and taken back by the host alone, without a call of CUDA's,
// so that it works while a stream is captured; a block's address stays the graph's until the graph is gone.
//
// It first grows (from the GPU's pool) while the work runs as usual, then is fixed: a request that no free block serves
// is an Error. Requests are rounded to sixteenths of their octave, and served by blocks of that size only: the same
// work then finds the same blocks, whatever happened before.
#pragma once
#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <vector>

#include "kernels/device.h"

namespace holt::cuda {

class GraphMemory : public std::enable_shared_from_this<GraphMemory> {
 public:
  explicit GraphMemory(Device d) : device_(d) {}
  ~GraphMemory();
  GraphMemory(const GraphMemory&) = delete;
  GraphMemory& operator=(const GraphMemory&) = delete;

  /// Serves the calling thread's allocations while it lives. While `fixed`, memory that others freed is kept until the
  /// end: it cannot be given back to its pool while a stream is captured.
  class Scope {
   public:
    Scope(GraphMemory& m, bool fixed);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;
  };
  /// The one that serves the calling thread on `d`, or null.
  static GraphMemory* current(Device d);

  void* allocate(size_t bytes);
  /// Takes the block back if it came from any graph's memory, or keeps it if the calling thread is recording; false:
  /// whose it is knows the pool.
  static bool deallocate(Device d, void* p) noexcept;

 private:
  static size_t rounded(size_t bytes);
  Device device_;
  std::mutex mutex_;
  std::map<size_t, std::vector<void*>> free_;
};

/// The GPU that the calling thread is recording work of; −1 if it is not.
int& recording_gpu();
/// Error unless the thread may do what `what` says while a graph records; `why` ends the text.
void check_not_recording(const char* what, const char* why);

}  // namespace holt::cuda
