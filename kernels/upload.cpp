#include "kernels/upload.h"

#include "kernels/memory.h"

#if defined(HOLT_HAS_CUDA)
#include "kernels/cuda/uploader.h"
#endif

namespace holt {

#if defined(HOLT_HAS_CUDA)
struct Upload::State : cuda::Uploader {
  using Uploader::Uploader;
};
#else
struct Upload::State {
  void start(void*, const void*, size_t) {}
  void finish() {}
};
#endif

Upload::Upload(Device device) : device_(device) {
  if (device.kind != Device::cuda) return;
#if defined(HOLT_HAS_CUDA)
  state_ = std::make_unique<State>(device);
#else
  fail("upload: this build of holt has no CUDA, got {}", device);
#endif
}
Upload::~Upload() = default;
Upload::Upload(Upload&&) noexcept = default;
Upload& Upload::operator=(Upload&&) noexcept = default;

void Upload::start(void* dst, const void* src, size_t bytes) {
  if (bytes == 0) return;
  if (state_)
    state_->start(dst, src, bytes);
  else
    copy_bytes(device_, dst, Device::cpu, src, bytes);
}

void Upload::finish() {
  if (state_) state_->finish();
}

}  // namespace holt
