// Ranges with op names on the timeline of NVIDIA's profilers (Nsight Systems): NVTX, whose headers alone are needed.
// Off unless HOLT_NVTX=1; then each op's forward and backward, and each optimiser step, shows by name above the kernels
// that it starts. Without a profiler a range costs some nanoseconds; a build without CUDA has none.
#pragma once

namespace holt {

/// A range of the calling thread, from here to the end of the scope. `name` is copied; so is `prefix` before it.
class TraceRange {
 public:
  explicit TraceRange(const char* name, const char* prefix = nullptr);
  ~TraceRange();
  TraceRange(const TraceRange&) = delete;
  TraceRange& operator=(const TraceRange&) = delete;

 private:
  bool on_;
};

}  // namespace holt
