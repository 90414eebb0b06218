#include "kernels/cuda/uploader.h"

#include <cstring>

#include "kernels/cuda/graph_memory.h"
#include "kernels/cuda/runtime.h"

namespace holt::cuda {
namespace {

CUevent_st* make_event(Device d) {
  cudaEvent_t e = nullptr;
  check_cuda(cudaEventCreateWithFlags(&e, cudaEventDisableTiming), "upload", d);
  return e;
}

}  // namespace

Uploader::Uploader(Device d) : device_(d) {
  use(d);
  try {
    check_cuda(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "upload", d);
    launched_ = make_event(d);
    done_ = make_event(d);
    for (Slot& s : slots_) s.copied = make_event(d);
  } catch (...) {
    release();
    throw;
  }
}
Uploader::~Uploader() { release(); }

void Uploader::release() noexcept {
  int previous = device_.index;
  cudaGetDevice(&previous);
  if (previous != device_.index) cudaSetDevice(device_.index);
  if (stream_) cudaStreamSynchronize(stream_);  // the copies still read the pinned buffers
  for (Slot& s : slots_) {
    if (s.pinned) cudaFreeHost(s.pinned);
    if (s.copied) cudaEventDestroy(s.copied);
  }
  if (launched_) cudaEventDestroy(launched_);
  if (done_) cudaEventDestroy(done_);
  if (stream_) cudaStreamDestroy(stream_);
  if (previous != device_.index) cudaSetDevice(previous);
}

void Uploader::start(void* dst, const void* src, size_t bytes) {
  check_not_recording("an upload is started", "every replay would upload it again");
  use(device_);
  Slot& slot = slots_[next_];
  check_cuda(cudaEventSynchronize(slot.copied), "upload", device_);
  if (slot.bytes < bytes) {
    if (slot.pinned) check_cuda(cudaFreeHost(slot.pinned), "upload", device_);
    slot.pinned = nullptr;
    slot.bytes = 0;
    check_cuda(cudaHostAlloc(&slot.pinned, bytes, cudaHostAllocDefault), "upload: pinned memory", device_);
    slot.bytes = bytes;
  }
  std::memcpy(slot.pinned, src, bytes);
  // dst is there, and free of earlier uses, where the thread's stream is now.
  check_cuda(cudaEventRecord(launched_, cudaStreamPerThread), "upload", device_);
  check_cuda(cudaStreamWaitEvent(stream_, launched_, 0), "upload", device_);
  check_cuda(cudaMemcpyAsync(dst, slot.pinned, bytes, cudaMemcpyHostToDevice, stream_), "upload", device_);
  check_cuda(cudaEventRecord(slot.copied, stream_), "upload", device_);
  next_ = (next_ + 1) % slots_.size();
}

void Uploader::finish() {
  check_not_recording("an upload is finished", "the graph would wait for a copy that is not its own");
  use(device_);
  check_cuda(cudaEventRecord(done_, stream_), "upload", device_);
  check_cuda(cudaStreamWaitEvent(cudaStreamPerThread, done_, 0), "upload", device_);
}

}  // namespace holt::cuda
