// CUDA's atomics, for the types that CUDA has them for; relaxed, as on the GPU. They act between blocks too, since
// those run on several OS threads.
#pragma once
#include <atomic>
#include <concepts>
#include <cstdint>

#include "kernels/dtype.h"

namespace holt::simt {

template <class T, class... Us>
concept AnyOf = (std::same_as<T, Us> || ...);

// *p becomes f(*p) in one step; returns what it was.
template <class T, class F>
T atomic_update(T* p, F f) {
  std::atomic_ref<T> r(*p);
  T old = r.load(std::memory_order_relaxed);
  while (!r.compare_exchange_weak(old, f(old), std::memory_order_relaxed)) {}
  return old;
}

template <AnyOf<int, unsigned, unsigned long long, float, double> T>
T atomicAdd(T* p, std::type_identity_t<T> x) {
  return std::atomic_ref<T>(*p).fetch_add(x, std::memory_order_relaxed);
}
template <AnyOf<int, unsigned> T>
T atomicSub(T* p, std::type_identity_t<T> x) {
  return std::atomic_ref<T>(*p).fetch_sub(x, std::memory_order_relaxed);
}
template <AnyOf<int, unsigned, unsigned long long, float> T>
T atomicExch(T* p, std::type_identity_t<T> x) {
  return std::atomic_ref<T>(*p).exchange(x, std::memory_order_relaxed);
}
template <AnyOf<int, unsigned, long long, unsigned long long> T>
T atomicMin(T* p, std::type_identity_t<T> x) {
  return atomic_update(p, [=](T old) { return x < old ? x : old; });
}
template <AnyOf<int, unsigned, long long, unsigned long long> T>
T atomicMax(T* p, std::type_identity_t<T> x) {
  return atomic_update(p, [=](T old) { return x > old ? x : old; });
}
template <AnyOf<int, unsigned, unsigned long long> T>
T atomicAnd(T* p, std::type_identity_t<T> x) {
  return std::atomic_ref<T>(*p).fetch_and(x, std::memory_order_relaxed);
}
template <AnyOf<int, unsigned, unsigned long long> T>
T atomicOr(T* p, std::type_identity_t<T> x) {
  return std::atomic_ref<T>(*p).fetch_or(x, std::memory_order_relaxed);
}
template <AnyOf<int, unsigned, unsigned long long> T>
T atomicXor(T* p, std::type_identity_t<T> x) {
  return std::atomic_ref<T>(*p).fetch_xor(x, std::memory_order_relaxed);
}
/// *p becomes `x` if it equals `expected`; returns what it was.
template <AnyOf<int, unsigned, unsigned long long> T>
T atomicCAS(T* p, std::type_identity_t<T> expected, std::type_identity_t<T> x) {
  std::atomic_ref<T>(*p).compare_exchange_strong(expected, x, std::memory_order_relaxed);
  return expected;
}

/// Adds two bf16 to two neighbours in one step, each sum rounded to bf16. p: 4-byte aligned. Returns what was there,
/// the lower address in the lower half.
inline uint32_t atomic_add_bf16x2(bf16* p, bf16 low, bf16 high) {
  return atomic_update(reinterpret_cast<uint32_t*>(p), [=](uint32_t old) {
    bf16 l, h;
    l.bits = static_cast<uint16_t>(old);
    h.bits = static_cast<uint16_t>(old >> 16);
    return uint32_t{bf16(float(l) + float(low)).bits} | uint32_t{bf16(float(h) + float(high)).bits} << 16;
  });
}

/// Orders the thread's accesses before and after it, as seen by every other thread.
void memory_fence();
inline void __threadfence_block() { memory_fence(); }
inline void __threadfence() { memory_fence(); }

}  // namespace holt::simt
