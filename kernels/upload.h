// Copies from host memory to a GPU beside its other work: by way of pinned memory, on a stream of their own, so that
// the next batch travels while the present step runs.
//
//   Upload upload(device);
//   upload.start(next.raw(), host.data(), bytes);      // the host's memory is free when it returns
//   … launches of the present step …
//   upload.finish();                                   // what the thread launches from here on sees the copies
//
// A pinned buffer is written again only when its copy is done; four copies are under way at most, then the host waits
// for the oldest. On cpu and simt a copy is done when start() returns.
#pragma once
#include <cstddef>
#include <memory>

#include "kernels/device.h"

namespace holt {

class Upload {
 public:
  explicit Upload(Device device);
  /// Waits for the copies under way.
  ~Upload();
  Upload(Upload&&) noexcept;
  Upload& operator=(Upload&&) noexcept;

  /// dst: memory of the device that this thread allocated, and whose earlier uses this thread launched. It may be freed
  /// after the next finish().
  void start(void* dst, const void* src, size_t bytes);
  /// The thread's later work on the device comes after all copies started so far. The host does not wait.
  void finish();

 private:
  struct State;
  Device device_;
  std::unique_ptr<State> state_;  // null on cpu and simt
};

}  // namespace holt
