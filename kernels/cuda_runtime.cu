// CUDA's side of the runtime. Compiled by nvcc alone: there is nothing here to emulate.
#include <cuda_runtime.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <limits>
#include <mutex>

#include "kernels/cuda_backend.h"
#include "kernels/gpu_nvcc.cuh"
#include "kernels/memory_limit.h"
#include "kernels/stream.h"

namespace holt {
namespace {

// cudaGetLastError() also forgets the error, so that the next call does not report it again.
void check_cuda(cudaError_t status, const char* what, Device d) {
  if (status == cudaSuccess) return;
  cudaGetLastError();
  fail("{} on {}: {} ({})", what, d, cudaGetErrorString(status), cudaGetErrorName(status));
}

std::string version(int v) { return format("{}.{}", v / 1000, v % 1000 / 10); }

struct Found {
  int count = 0;
  std::string reason;
};

// Asked once: neither driver nor GPUs come and go while a program runs.
const Found& found() {
  static const Found f = [] {
    Found r;
    int driver = 0, runtime = 0;
    cudaRuntimeGetVersion(&runtime);
    if (cudaDriverGetVersion(&driver) != cudaSuccess) driver = 0;
    const cudaError_t status = cudaGetDeviceCount(&r.count);
    cudaGetLastError();
    if (status == cudaSuccess && r.count > 0) return r;
    r.count = 0;
    const char* visible = std::getenv("CUDA_VISIBLE_DEVICES");
    if (driver == 0)
      r.reason = "there is no NVIDIA driver (libcuda.so.1 was not found)";
    else if (status == cudaErrorInsufficientDriver)
      r.reason = format("the NVIDIA driver is too old: it offers CUDA {}, and this build of holt uses CUDA {}",
                        version(driver), version(runtime));
    else if (status == cudaErrorNoDevice || status == cudaSuccess)
      r.reason = format("the NVIDIA driver sees no GPU{}",
                        visible ? format(" (CUDA_VISIBLE_DEVICES is '{}')", visible) : std::string());
    else
      r.reason = format("CUDA does not start: {} ({})", cudaGetErrorString(status), cudaGetErrorName(status));
    return r;
  }();
  return f;
}

// Makes `d` the calling thread's device.
void use(Device d) {
  thread_local int current = -1;
  if (d.index == current) return;
  check(found().count > 0, "{} is not available: {}", d, found().reason);
  check(d.index >= 0 && d.index < found().count, "{} is not available: this machine has {} CUDA device{}", d,
        found().count, found().count == 1 ? "" : "s");
  check_cuda(cudaSetDevice(d.index), "cudaSetDevice", d);
  current = d.index;
}

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

bool sync_after_launch() {
  static const bool on = [] {
    const char* env = std::getenv("HOLT_CUDA_SYNC");
    return env && std::string_view(env) == "1";
  }();
  return on;
}

}  // namespace

Cuda current_cuda(int8_t index) {
  use({Device::cuda, index});
  return {cudaStreamPerThread, index};
}

void check_launch(std::string_view kernel, Cuda gpu, const LaunchShape& s, cudaError_t status) {
  const bool wait = status == cudaSuccess && sync_after_launch();
  if (wait) status = cudaStreamSynchronize(gpu.stream);
  if (status == cudaSuccess) return;
  cudaGetLastError();
  fail("{}: {} ({}); grid [{}, {}, {}], block [{}, {}, {}], {} bytes of dynamic shared memory{}", kernel,
       cudaGetErrorString(status), cudaGetErrorName(status), s.grid.x, s.grid.y, s.grid.z, s.block.x, s.block.y,
       s.block.z, s.shared_bytes,
       wait ? "" : ". An earlier kernel may be the cause: HOLT_CUDA_SYNC=1 waits for each and names it");
}

namespace cuda {

int device_count() noexcept {
  try {
    return found().count;
  } catch (...) {  // no memory for the reason's text
    return 0;
  }
}
std::string missing_reason() { return found().reason; }

void* allocate(Device d, size_t bytes) {
  const cudaMemPool_t from = pool(d);
  bytes = std::max<size_t>(bytes, 1);
  if (const auto& limit = detail::memory_limit(d); limit.bytes != std::numeric_limits<size_t>::max()) {
    const size_t used = pool_attribute(d, cudaMemPoolAttrUsedMemCurrent);
    if (used > limit.bytes || bytes > limit.bytes - used)
      detail::fail_out_of_memory(d, bytes, cuda::memory_stats(d), limit.reason);
  }
  void* p = nullptr;
  cudaError_t status = cudaMallocFromPoolAsync(&p, bytes, from, cudaStreamPerThread);
  if (status == cudaErrorMemoryAllocation) {  // blocks that wait for their stream, or are too small, may make room
    cudaGetLastError();
    cuda::release_cached(d);
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
  return p;
}

void deallocate(Device d, void* p, size_t) noexcept {
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
  const cudaMemPool_t p = pool(d);
  check_cuda(cudaStreamSynchronize(cudaStreamPerThread), "release_cached", d);
  check_cuda(cudaMemPoolTrimTo(p, 0), "release_cached", d);
}

void copy_bytes(Device to, void* dst, Device from, const void* src, size_t bytes) {
  const bool both = to.kind == Device::cuda && from.kind == Device::cuda;
  check(!both || to == from, "copy_bytes: copying between two GPUs ({} to {}) is not supported; copy through the cpu",
        from, to);
  const Device d = to.kind == Device::cuda ? to : from;
  use(d);
  const cudaMemcpyKind kind = both                      ? cudaMemcpyDeviceToDevice
                              : to.kind == Device::cuda ? cudaMemcpyHostToDevice
                                                        : cudaMemcpyDeviceToHost;
  check_cuda(cudaMemcpyAsync(dst, src, bytes, kind, cudaStreamPerThread), "copy_bytes", d);
  // From pageable memory CUDA has copied to its own staging buffer when it returns: the GPU need not be waited for.
  cudaPointerAttributes host{};
  const bool staged = kind == cudaMemcpyHostToDevice && cudaPointerGetAttributes(&host, src) == cudaSuccess &&
                      host.type == cudaMemoryTypeUnregistered;
  if (!both && !staged) cuda::synchronize(d);
}

void synchronize(Device d) {
  use(d);
  check_cuda(cudaStreamSynchronize(cudaStreamPerThread), "synchronize", d);
}

CUevent_st* create_event(Device d) {
  use(d);
  cudaEvent_t e;
  check_cuda(cudaEventCreate(&e), "Event", d);
  return e;
}
void destroy_event(CUevent_st* e) noexcept { cudaEventDestroy(e); }
void record_event(Device d, CUevent_st* e) {
  use(d);
  check_cuda(cudaEventRecord(e, cudaStreamPerThread), "Event", d);
}
void wait_event(CUevent_st* e) { check_cuda(cudaEventSynchronize(e), "Event", Device::cuda); }
double seconds_between(CUevent_st* earlier, CUevent_st* later) {
  float ms = 0;
  check_cuda(cudaEventElapsedTime(&ms, earlier, later), "Event", Device::cuda);
  return ms * 1e-3;
}

}  // namespace cuda
}  // namespace holt
