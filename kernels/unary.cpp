#include "kernels/unary.h"

#include "kernels/brief.h"
#include "kernels/narrow.h"
#include "kernels/parallel.h"

namespace holt {

template <class F, class B, class T>
void unary_forward(B, F f, int64_t n, const T* x, T* y) {
  parallel_for(n, F::work, [=](int64_t begin, int64_t end) {
    in_blocks<T>(begin, end, [=](int64_t i, int64_t m, auto& buffer) {
      acc_t<T>* ys = room(y + i, buffer[0]);
      if constexpr (std::is_same_v<T, bf16> && brief::has_value<F>) {
        lanes::map(
            m, ys, [=](lanes::Vec v) { return brief::value(f, v); }, x + i);
      } else {
        const acc_t<T>* xs = widen(m, x + i, buffer[0]);
#pragma omp simd
        for (int64_t k = 0; k < m; ++k) ys[k] = f.value(xs[k]);
      }
      narrow(m, ys, y + i);
    });
  });
}

template <class F, class B, class T>
void unary_backward(B, F f, int64_t n, const T* dy, const T* kept, T* dx) {
  parallel_for(n, 1 + F::work, [=](int64_t begin, int64_t end) {
    in_blocks<T>(begin, end, [=](int64_t i, int64_t m, auto& buffer) {
      acc_t<T>* to = room(dx + i, buffer[0]);
      if constexpr (std::is_same_v<T, bf16> && brief::has_slope<F>) {
        lanes::map(
            m, to, [=](lanes::Vec g, lanes::Vec v) { return g * brief::slope(f, v); }, dy + i, kept + i);
      } else {
        const acc_t<T>*g = widen(m, dy + i, buffer[0]), *from = widen(m, kept + i, buffer[1]);
#pragma omp simd
        for (int64_t k = 0; k < m; ++k) to[k] = g[k] * f.slope(from[k]);
      }
      narrow(m, to, dx + i);
    });
  });
}

#define INSTANTIATE(F, T)                                     \
  template void unary_forward(Cpu, F, int64_t, const T*, T*); \
  template void unary_backward(Cpu, F, int64_t, const T*, const T*, T*);
#define INSTANTIATE_ALL(T)                                                      \
  INSTANTIATE(Exp, T)                                                           \
  INSTANTIATE(Log, T)                                                           \
  INSTANTIATE(Sqrt, T)                                                          \
  INSTANTIATE(Square, T)                                                        \
  INSTANTIATE(Abs, T)                                                           \
  INSTANTIATE(Relu, T)                                                          \
  INSTANTIATE(GeluExact, T)                                                     \
  INSTANTIATE(GeluTanh, T)                                                      \
  INSTANTIATE(Sigmoid, T)                                                       \
  INSTANTIATE(Tanh, T)                                                          \
  INSTANTIATE(Swish<acc_t<T>>, T)                                               \
  template void unary_forward(Cpu, AddScalar<acc_t<T>>, int64_t, const T*, T*); \
  template void unary_forward(Cpu, MulScalar<acc_t<T>>, int64_t, const T*, T*);
INSTANTIATE_ALL(float)
INSTANTIATE_ALL(bf16)
INSTANTIATE_ALL(f16)
INSTANTIATE_ALL(double)
#undef INSTANTIATE_ALL
#undef INSTANTIATE

}  // namespace holt
