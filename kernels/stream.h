// Order and time on a device. Work on cpu and simt is done when a call returns, so there streams only keep time.
#pragma once
#include <cstdint>
#include <memory>

#include "kernels/device.h"

namespace holt {

/// Waits until all work given to the device by this thread is done.
void synchronize(Device);

/// Seeds the order in which the emulator runs threads, for the calling thread's launches while it lives.
class SimtSchedule {
 public:
  explicit SimtSchedule(uint64_t seed);
  ~SimtSchedule();
  SimtSchedule(const SimtSchedule&) = delete;
  SimtSchedule& operator=(const SimtSchedule&) = delete;

 private:
  uint64_t previous_;
};

/// A point in a device's order of work.
class Event {
 public:
  explicit Event(Device);
  ~Event();
  Event(Event&&) noexcept;
  Event& operator=(Event&&) noexcept;
  void record();      ///< marks now, in the calling thread's order
  void wait() const;  ///< blocks the calling thread until the mark is reached
  /// Seconds from `earlier` to this one; both must be recorded and reached.
  double seconds_since(const Event& earlier) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// How many CUDA devices this process can use: 0 without a CUDA build, driver or GPU. Never throws.
int cuda_device_count();
/// One line that says why cuda_device_count() is 0; empty otherwise.
std::string cuda_missing_reason();

}  // namespace holt
