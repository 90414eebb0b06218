// Memory on the three devices.
//
//   cpu    64-byte aligned, cached by size class: after its first step a training loop touches no new page
//   simt   as cpu, but filled with NaN and fenced, so that reading what was never written, or past an end, shows
//   cuda   the stream-ordered pool (cudaMallocAsync)
#pragma once
#include <cstddef>
#include <string>

#include "kernels/device.h"

namespace holt {

/// At least `bytes` bytes, 64-byte aligned (256 on cuda); never null, also for 0. Throws Error naming the request, what
/// is in use and the device when there is not enough.
void* allocate(Device, size_t bytes);
/// `bytes` as given to allocate(). Null is ignored. Never throws.
void deallocate(Device, void*, size_t bytes) noexcept;

struct MemoryStats {
  size_t current = 0;             ///< bytes in use
  size_t peak = 0;                ///< largest `current` since the start or reset_peak()
  size_t cached = 0;              ///< bytes held for reuse
  size_t system_allocations = 0;  ///< how often the system was asked: constant once a loop is warm
};
MemoryStats memory_stats(Device);
void reset_peak(Device);
/// Returns cached memory to the system.
void release_cached(Device);

/// Scratch memory for one kernel call.
class Workspace {
 public:
  Workspace(Device d, size_t bytes) : device_(d), bytes_(bytes), data_(allocate(d, bytes)) {}
  template <class B>
  requires requires(B b) { device_of(b); }
  Workspace(B backend, size_t bytes) : Workspace(device_of(backend), bytes) {}
  ~Workspace() { deallocate(device_, data_, bytes_); }
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;
  template <class T>
  T* as() const {
    return static_cast<T*>(data_);
  }

 private:
  Device device_;
  size_t bytes_;
  void* data_;
};

/// Copies bytes between any two devices (not between two GPUs). Host memory is Device::cpu. Ordered after the
/// thread's earlier work on the GPU concerned; returns when both buffers may be touched again.
void copy_bytes(Device to, void* dst, Device from, const void* src, size_t bytes);

}  // namespace holt
