// What the runtime (memory.cpp, stream.cpp, device.cpp) asks of CUDA. Implemented by cuda/*.cpp; a build without CUDA
// never names it. All of it may be called on a machine without a driver: counts are 0, the rest throws an Error.
//
// Order: every thread has its own stream (CUDA's per-thread default stream), the same on every device. Memory is given
// and taken back in that order, so a thread that hands a tensor to another synchronizes first.
#pragma once
#include <cstddef>
#include <string>

#include "kernels/memory.h"

struct CUevent_st;

namespace holt::cuda {

int device_count() noexcept;
std::string missing_reason();

void* allocate(Device, size_t bytes);
void deallocate(Device, void*, size_t bytes) noexcept;
MemoryStats memory_stats(Device);
void reset_peak(Device);
void release_cached(Device);
/// One of the two is on a GPU, or both on the same.
void copy_bytes(Device to, void* dst, Device from, const void* src, size_t bytes);

void synchronize(Device);
CUevent_st* create_event(Device);
void destroy_event(CUevent_st*) noexcept;
void record_event(Device, CUevent_st*);
void wait_event(CUevent_st*);
double seconds_between(CUevent_st* earlier, CUevent_st* later);

}  // namespace holt::cuda
