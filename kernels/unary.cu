// Memory-bound: 2·n·sizeof(T) bytes forward, 3 backward, for 1 to 30 flops an element. GELU behind ViT-B's first MLP
// layer at batch 64, [12608, 3072] bf16, is 155 MB: at least 46 µs on an H100 (3.35 TB/s), 153 µs on an RTX 4090 (1.01
// TB/s); backward 69 and 230. vec16: 16 bytes an access, 256 threads a block, no shared memory, 24 to 44 registers on
// sm_90: 62 to 100 % of an H100's threads, which keep 20 KB a multiprocessor and operand under way where its memory
// asks for 18. The grid: elementwise.cuh.
#include "kernels/unary.h"

#include "kernels/elementwise.cuh"

namespace holt {
namespace {

// Rung 1, naive: one element a thread and turn. A warp's request is 32·sizeof(T) bytes: half of what 16-byte accesses
// keep in flight for float, a quarter or less for 16-bit types.
template <class F, class T>
__global__ void forward_naive(F f, int64_t n, const T* x, T* y) {
  for (int64_t i = thread_index(); i < n; i += thread_count()) y[i] = T(f.value(float(x[i])));
}

template <class F, class T>
__global__ void backward_naive(F f, int64_t n, const T* dy, const T* kept, T* dx) {
  for (int64_t i = thread_index(); i < n; i += thread_count()) dx[i] = T(float(dy[i]) * f.slope(float(kept[i])));
}

// Rung 2, vec16: 16 bytes a thread and access; the first threads also do the elements behind the last whole vector.
template <class F, class T>
__global__ void forward_vec16(F f, int64_t n, const T* x, T* y) {
  constexpr int N = Vec<T>::size;
  for (int64_t v = thread_index(); v < n / N; v += thread_count()) {
    Vec<T> r = load16(x + v * N);
#pragma unroll
    for (int k = 0; k < N; ++k) r[k] = T(f.value(float(r[k])));
    store16(y + v * N, r);
  }
  const int64_t i = n / N * N + thread_index();
  if (i < n) y[i] = T(f.value(float(x[i])));
}

template <class F, class T>
__global__ void backward_vec16(F f, int64_t n, const T* dy, const T* kept, T* dx) {
  constexpr int N = Vec<T>::size;
  for (int64_t v = thread_index(); v < n / N; v += thread_count()) {
    Vec<T> r = load16(dy + v * N);
    const Vec<T> s = load16(kept + v * N);
#pragma unroll
    for (int k = 0; k < N; ++k) r[k] = T(float(r[k]) * f.slope(float(s[k])));
    store16(dx + v * N, r);
  }
  const int64_t i = n / N * N + thread_index();
  if (i < n) dx[i] = T(float(dy[i]) * f.slope(float(kept[i])));
}

}  // namespace

template <class F, class B, class T>
void unary_forward(B gpu, F f, int64_t n, const T* x, T* y) {
  if (n == 0) return;
  const bool vectors = unary_forward_rungs.pick("vec16") == 1 && aligned16(x) && aligned16(y);
  if (vectors)
    launch<forward_vec16<F, T>>(gpu, grid_over(cdiv(n, Vec<T>::size)), f, n, x, y);
  else
    launch<forward_naive<F, T>>(gpu, grid_over(n), f, n, x, y);
}

template <class F, class B, class T>
void unary_backward(B gpu, F f, int64_t n, const T* dy, const T* kept, T* dx) {
  if (n == 0) return;
  const bool vectors = unary_backward_rungs.pick("vec16") == 1 && aligned16(dy) && aligned16(kept) && aligned16(dx);
  if (vectors)
    launch<backward_vec16<F, T>>(gpu, grid_over(cdiv(n, Vec<T>::size)), f, n, dy, kept, dx);
  else
    launch<backward_naive<F, T>>(gpu, grid_over(n), f, n, dy, kept, dx);
}

#define INSTANTIATE(F, T)                                     \
  template void unary_forward(Gpu, F, int64_t, const T*, T*); \
  template void unary_backward(Gpu, F, int64_t, const T*, const T*, T*);
#define INSTANTIATE_ALL(T)                                                   \
  INSTANTIATE(Exp, T)                                                        \
  INSTANTIATE(Log, T)                                                        \
  INSTANTIATE(Sqrt, T)                                                       \
  INSTANTIATE(Square, T)                                                     \
  INSTANTIATE(Abs, T)                                                        \
  INSTANTIATE(Relu, T)                                                       \
  INSTANTIATE(GeluExact, T)                                                  \
  INSTANTIATE(GeluTanh, T)                                                   \
  INSTANTIATE(Sigmoid, T)                                                    \
  INSTANTIATE(Tanh, T)                                                       \
  INSTANTIATE(Swish<acc_t<T>>, T)                                            \
  template void unary_forward(Gpu, AddScalar<float>, int64_t, const T*, T*); \
  template void unary_forward(Gpu, MulScalar<float>, int64_t, const T*, T*);
INSTANTIATE_ALL(float)
INSTANTIATE_ALL(bf16)
INSTANTIATE_ALL(f16)
#undef INSTANTIATE_ALL
#undef INSTANTIATE

}  // namespace holt
