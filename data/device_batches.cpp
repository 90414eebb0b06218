#include "data/device_batches.h"

#include <utility>

namespace holt::data {

DeviceBatches::DeviceBatches(Loader::Epoch epoch, Device device)
    : epoch_(std::move(epoch)), device_(device), upload_(device) {}

// Memory of a batch that nobody took is freed in the order of this thread's work: after its copy.
DeviceBatches::~DeviceBatches() {
  try {
    if (ahead_) upload_.finish();
  } catch (...) {}  // the device has failed, and its memory with it
}

std::optional<Batch> DeviceBatches::next() {
  if (device_.kind == Device::cpu) return epoch_.next();
  if (!std::exchange(started_, true)) start_next();
  std::optional<Batch> result = std::exchange(ahead_, std::nullopt);
  if (!result) return result;
  upload_.finish();  // before the next copy starts, which this batch's user need not wait for
  start_next();
  return result;
}

void DeviceBatches::start_next() {
  const std::optional<Batch> host = epoch_.next();
  if (!host) return;
  Batch batch{empty(host->images.shape(), host->images.dtype(), device_),
              empty(host->labels.shape(), host->labels.dtype(), device_), host->samples};
  batch.share = host->share;
  if (host->other_labels) batch.other_labels = empty(host->other_labels.shape(), host->other_labels.dtype(), device_);
  ahead_ = std::move(batch);  // before the copies start: whatever is thrown, the destructor waits for them
  upload_.start(ahead_->images.raw(), host->images.raw(), host->images.bytes());
  upload_.start(ahead_->labels.raw(), host->labels.raw(), host->labels.bytes());
  if (host->other_labels)
    upload_.start(ahead_->other_labels.raw(), host->other_labels.raw(), host->other_labels.bytes());
}

}  // namespace holt::data
