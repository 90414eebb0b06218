// Memory pools: cudaMallocFromPoolAsync and cudaFreeAsync in stream order.
//
// A pool reserves memory from its GPU in steps of 2 MiB and keeps it until it is trimmed, or until a synchronisation if
// it holds more than its release threshold. What a stream has freed serves that stream at once, and others when the
// stream has got there.
#include <algorithm>

#include "state.h"

namespace holt_double {
namespace {

constexpr uint64_t kStep = uint64_t{2} << 20;

uint64_t reserved_on(int device) {
  uint64_t sum = 0;
  for (const Pool* p : state().pools)
    if (p->device == device) sum += p->reserved;
  return sum;
}

cudaError_t take(void** out, size_t bytes, Pool& pool, const std::shared_ptr<Stream>& stream) {
  State& s = state();
  if (stream->capture)
    return forbidden_in_capture(*stream);  // CUDA would record a node that allocates; holt never asks
  uint64_t waiting = 0;
  for (const auto& [other, n] : pool.pending) waiting += other == stream.get() ? 0 : n;
  const uint64_t available = pool.reserved - std::min(pool.reserved, pool.used + waiting);
  if (bytes > available) {
    if (bytes > s.total_memory) return cudaErrorMemoryAllocation;
    const uint64_t more = (bytes - available + kStep - 1) / kStep * kStep;
    if (reserved_on(pool.device) + more > s.total_memory) return cudaErrorMemoryAllocation;
    pool.reserved += more;
    pool.reserved_high = std::max(pool.reserved_high, pool.reserved);
  }
  Arena& arena = s.gpus[static_cast<size_t>(pool.device)]->arena;
  void* const p = arena.reserve(bytes);
  if (!p) return cudaErrorMemoryAllocation;
  if (const cudaError_t refused = submit(stream, {.run = [&arena, p, bytes] { arena.begin_use(p, bytes); }}))
    return refused;
  pool.used += bytes;
  pool.used_high = std::max(pool.used_high, pool.used);
  s.allocations[reinterpret_cast<uintptr_t>(p)] = {bytes, pool.device, &pool};
  *out = p;
  return cudaSuccess;
}

cudaError_t give_back(void* p, const std::shared_ptr<Stream>& stream) {
  State& s = state();
  const auto found = s.allocations.find(reinterpret_cast<uintptr_t>(p));
  if (found == s.allocations.end()) return cudaErrorInvalidValue;  // never allocated, or freed already
  const Allocation a = found->second;
  if (stream->capture) return forbidden_in_capture(*stream);  // it was not allocated in this capture
  if (stream->device != a.device) return cudaErrorInvalidValue;
  Arena& arena = s.gpus[static_cast<size_t>(a.device)]->arena;
  // Before it is submitted: an eager stream runs it at once.
  a.pool->used -= a.bytes;
  a.pool->pending[stream.get()] += a.bytes;
  s.allocations.erase(found);
  return submit(stream, {.run = [&arena, p, a, key = stream.get()] {
                  if (const std::string wrong = arena.end_use(p, a.bytes); !wrong.empty()) break_context(wrong);
                  if (!state().pools.contains(a.pool)) return;
                  auto waiting = a.pool->pending.find(key);
                  if (waiting != a.pool->pending.end() && (waiting->second -= a.bytes) == 0)
                    a.pool->pending.erase(waiting);
                }});
}

void trim(Pool& pool, uint64_t keep) {
  uint64_t needed = pool.used;
  for (const auto& [stream, n] : pool.pending) needed += n;
  needed = (needed + kStep - 1) / kStep * kStep;
  pool.reserved = std::min(pool.reserved, std::max(needed, keep));
}

uint64_t* attribute(Pool& pool, cudaMemPoolAttr name) {
  switch (name) {
    case cudaMemPoolAttrReleaseThreshold:
      return &pool.threshold;
    case cudaMemPoolAttrUsedMemCurrent:
      return &pool.used;
    case cudaMemPoolAttrUsedMemHigh:
      return &pool.used_high;
    case cudaMemPoolAttrReservedMemCurrent:
      return &pool.reserved;
    case cudaMemPoolAttrReservedMemHigh:
      return &pool.reserved_high;
    default:
      return nullptr;
  }
}

Pool* find_pool(cudaMemPool_t handle) {
  Pool* p = reinterpret_cast<Pool*>(handle);
  return state().pools.contains(p) ? p : nullptr;
}

}  // namespace

void release_over_threshold() {
  for (Pool* p : state().pools)
    if (p->reserved > p->threshold) trim(*p, p->threshold);
}

}  // namespace holt_double

using namespace holt_double;

extern "C" {

cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t* pool, int device) {
  const Call call("cudaDeviceGetDefaultMemPool");
  if (call.refused) return call.refused;
  if (!device_exists(device)) return report(cudaErrorInvalidDevice);
  if (!pool) return report(cudaErrorInvalidValue);
  *pool = reinterpret_cast<cudaMemPool_t>(&state().gpus[static_cast<size_t>(device)]->default_pool);
  return cudaSuccess;
}

cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t handle, cudaMemPoolAttr name, void* value) {
  const Call call("cudaMemPoolSetAttribute");
  if (call.refused) return call.refused;
  Pool* const pool = find_pool(handle);
  if (!pool || !value) return report(cudaErrorInvalidValue);
  const uint64_t v = *static_cast<uint64_t*>(value);
  if (name == cudaMemPoolAttrReleaseThreshold)
    pool->threshold = v;
  else if (name == cudaMemPoolAttrUsedMemHigh && v == 0)  // high marks can be reset and nothing else
    pool->used_high = pool->used;
  else if (name == cudaMemPoolAttrReservedMemHigh && v == 0)
    pool->reserved_high = pool->reserved;
  else
    return report(cudaErrorInvalidValue);
  return cudaSuccess;
}

cudaError_t cudaMemPoolGetAttribute(cudaMemPool_t handle, cudaMemPoolAttr name, void* value) {
  const Call call("cudaMemPoolGetAttribute");
  if (call.refused) return call.refused;
  Pool* const pool = find_pool(handle);
  uint64_t* const from = pool ? attribute(*pool, name) : nullptr;
  if (!from || !value) return report(cudaErrorInvalidValue);
  *static_cast<uint64_t*>(value) = *from;
  return cudaSuccess;
}

cudaError_t cudaMemPoolTrimTo(cudaMemPool_t handle, size_t keep) {
  const Call call("cudaMemPoolTrimTo");
  if (call.refused) return call.refused;
  if (const cudaError_t refused = unsafe_in_capture()) return report(refused);
  Pool* const pool = find_pool(handle);
  if (!pool) return report(cudaErrorInvalidValue);
  trim(*pool, keep);
  return cudaSuccess;
}

cudaError_t cudaMallocFromPoolAsync(void** p, size_t bytes, cudaMemPool_t handle, cudaStream_t stream_handle) {
  const Call call("cudaMallocFromPoolAsync");
  if (call.refused) return call.refused;
  Pool* const pool = find_pool(handle);
  const auto stream = find_stream(stream_handle);
  if (!stream) return report(cudaErrorInvalidResourceHandle);
  if (!pool || !p || bytes == 0 || pool->device != stream->device) return report(cudaErrorInvalidValue);
  return report(take(p, bytes, *pool, stream));
}

cudaError_t cudaFreeAsync(void* p, cudaStream_t handle) {
  const Call call("cudaFreeAsync");
  if (call.refused) return call.refused;
  const auto stream = find_stream(handle);
  if (!stream) return report(cudaErrorInvalidResourceHandle);
  return p ? report(give_back(p, stream)) : cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  const Call call("cudaMemGetInfo");
  if (call.refused) return call.refused;
  if (!free || !total) return report(cudaErrorInvalidValue);
  *total = state().total_memory;
  *free = *total - std::min<size_t>(*total, reserved_on(current_device()));
  return cudaSuccess;
}
}
