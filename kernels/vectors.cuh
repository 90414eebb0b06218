// One kernel for vector and scalar accesses: V elements of T at once, V = 1 or 16 bytes' worth.
#pragma once
#include "kernels/gpu.cuh"

namespace holt {

template <int V, class T>
__device__ Vec<T, V> load_vec(const T* p) {
  if constexpr (V == 1)
    return {{*p}};
  else
    return load16(p);
}

template <int V, class T>
__device__ void store_vec(T* p, const Vec<T, V>& x) {
  if constexpr (V == 1)
    *p = x[0];
  else
    store16(p, x);
}

/// Whether rows of n elements of T can be walked in 16-byte steps from each of the pointers (null ones don't matter).
template <class T, class... P>
bool rows_aligned16(int64_t n, const P*... p) {
  return n % Vec<T>::size == 0 && (aligned16(p) && ...);
}

}  // namespace holt
