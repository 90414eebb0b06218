// A loader's batches on a device, the next one under way while the present one is used.
//
//   DeviceBatches batches(loader.epoch(e), device);
//   while (auto batch = batches.next()) …            // images and labels are on `device`
//
// next() hands out the batch that is on its way and starts the copy of the one after it, from pinned memory on a stream
// of its own (kernels/upload.h): it travels while the step that follows runs. The host waits for no copy. A batch's
// tensors are ordinary ones: they may be kept, and are gone when nobody holds them. On the cpu batches are passed on.
#pragma once
#include <optional>

#include "data/loader.h"
#include "kernels/upload.h"

namespace holt::data {

class DeviceBatches {
 public:
  /// From one thread only: that which uses the batches.
  DeviceBatches(Loader::Epoch epoch, Device device);
  ~DeviceBatches();
  DeviceBatches(const DeviceBatches&) = delete;
  DeviceBatches& operator=(const DeviceBatches&) = delete;

  /// Nothing at the end. Throws what went wrong in the loader's thread.
  std::optional<Batch> next();

 private:
  void start_next();

  Loader::Epoch epoch_;
  Device device_;
  Upload upload_;
  bool started_ = false;
  std::optional<Batch> ahead_;
};

}  // namespace holt::data
