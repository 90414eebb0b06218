// The stream-ordered pool of each GPU.
#include <algorithm>
#include <array>
#include <limits>
#include <mutex>

#include "kernels/cuda/graph_memory.h"
#include "kernels/cuda/pool.h"
#include "kernels/cuda/runtime.h"
#include "kernels/cuda_backend.h"
#include "kernels/memory_limit.h"

namespace holt::cuda {
namespace {

// The device's default pool, told to keep what is freed instead of returning it at every synchronization.
cudaMemPool_t pool(Device d) {
  static std::array<std::once_flag, 128> once;
  static std::array<cudaMemPool_t, 128> pools{};
  use(d);
  std::call_once(once[d.index], [&] {
    int supported = 0;
    check_cuda(cudaDeviceGetAttribute(&supported, cudaDevAttrMemoryPoolsSupported, d.index), "allocate", d);
    check(supported, "allocate: {} has no stream-ordered memory pools; holt needs them", d);
    cudaMemPool_t p;
    check_cuda(cudaDeviceGetDefaultMemPool(&p, d.index), "allocate", d);
    uint64_t keep = std::numeric_limits<uint64_t>::max();
    check_cuda(cudaMemPoolSetAttribute(p, cudaMemPoolAttrReleaseThreshold, &keep), "allocate", d);
    pools[d.index] = p;
  });
  return pools[d.index];
}

size_t pool_attribute(Device d, cudaMemPoolAttr name) {
  uint64_t value = 0;
  check_cuda(cudaMemPoolGetAttribute(pool(d), name, &value), "memory_stats", d);
  return value;
}

}  // namespace

void* allocate(Device d, size_t bytes) {
  GraphMemory* const graph = GraphMemory::current(d);
  return graph ? graph->allocate(bytes) : pool_allocate(d, bytes);
}

void deallocate(Device d, void* p, size_t) noexcept {
  if (!GraphMemory::deallocate(d, p)) pool_deallocate(d, p);
}

void* pool_allocate(Device d, size_t bytes) {
  const cudaMemPool_t from = pool(d);
  bytes = std::max<size_t>(bytes, 1);
  if (const auto& limit = detail::memory_limit(d); limit.bytes != std::numeric_limits<size_t>::max()) {
    const size_t used = pool_attribute(d, cudaMemPoolAttrUsedMemCurrent);
    if (used > limit.bytes || bytes > limit.bytes - used)
      detail::fail_out_of_memory(d, bytes, cuda::memory_stats(d), limit.reason);
  }
  void* p = nullptr;
  cudaError_t status = cudaMallocFromPoolAsync(&p, bytes, from, cudaStreamPerThread);
  if (status == cudaErrorMemoryAllocation) {  // blocks that wait for some thread's stream, or are too small, make room
    cudaGetLastError();
    check_cuda(cudaDeviceSynchronize(), "allocate", d);
    check_cuda(cudaMemPoolTrimTo(from, 0), "allocate", d);
    status = cudaMallocFromPoolAsync(&p, bytes, from, cudaStreamPerThread);
  }
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    size_t free = 0, total = 0;
    check_cuda(cudaMemGetInfo(&free, &total), "allocate", d);
    detail::fail_out_of_memory(
        d, bytes, cuda::memory_stats(d),
        format("the GPU has {} free of {}", detail::format_bytes(free), detail::format_bytes(total)));
  }
  check_cuda(status, "allocate", d);
  detail::note_request(d, bytes);
  return p;
}

void pool_deallocate(Device d, void* p) noexcept {
  // At exit the runtime may be gone already, and the memory with it; an error of a kernel is reported by who waits for
  // it.
  int previous = d.index;
  cudaGetDevice(&previous);
  if (previous != d.index) cudaSetDevice(d.index);
  cudaFreeAsync(p, cudaStreamPerThread);
  if (previous != d.index) cudaSetDevice(previous);
}

MemoryStats memory_stats(Device d) {
  static std::mutex mutex;
  static std::array<std::pair<size_t, size_t>, 128> seen{};  // reserved bytes, and how often they were seen to grow
  MemoryStats s;
  s.current = pool_attribute(d, cudaMemPoolAttrUsedMemCurrent);
  s.peak = pool_attribute(d, cudaMemPoolAttrUsedMemHigh);
  const size_t reserved = pool_attribute(d, cudaMemPoolAttrReservedMemCurrent);
  s.cached = reserved - std::min(reserved, s.current);
  const std::lock_guard lock(mutex);
  auto& [known, growths] = seen[d.index];
  growths += reserved > known;
  known = reserved;
  s.system_allocations = growths;
  return s;
}

void reset_peak(Device d) {
  uint64_t zero = 0;
  check_cuda(cudaMemPoolSetAttribute(pool(d), cudaMemPoolAttrUsedMemHigh, &zero), "reset_peak", d);
}

void release_cached(Device d) {
  check_not_recording("release_cached", "the host may not wait for the GPU, nothing has run yet");
  const cudaMemPool_t p = pool(d);
  check_cuda(cudaStreamSynchronize(cudaStreamPerThread), "release_cached", d);
  check_cuda(cudaMemPoolTrimTo(p, 0), "release_cached", d);
}

}  // namespace holt::cuda
