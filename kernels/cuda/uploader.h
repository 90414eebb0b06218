// holt::Upload (kernels/upload.h) on a GPU.
#pragma once
#include <array>
#include <cstddef>

#include "kernels/device.h"

struct CUevent_st;

namespace holt::cuda {

class Uploader {
 public:
  explicit Uploader(Device d);
  ~Uploader();
  Uploader(const Uploader&) = delete;
  Uploader& operator=(const Uploader&) = delete;

  void start(void* dst, const void* src, size_t bytes);
  void finish();

 private:
  // A pinned buffer, and the event that its last copy is done.
  struct Slot {
    void* pinned = nullptr;
    size_t bytes = 0;
    CUevent_st* copied = nullptr;
  };
  void release() noexcept;

  Device device_;
  CUstream_st* stream_ = nullptr;
  CUevent_st *launched_ = nullptr, *done_ = nullptr;
  std::array<Slot, 4> slots_;
  size_t next_ = 0;
};

}  // namespace holt::cuda
