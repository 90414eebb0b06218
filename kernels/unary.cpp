#include "kernels/unary.h"

#include "kernels/parallel.h"

namespace holt {

template <class F, class B, class T>
void unary_forward(B, F f, int64_t n, const T* x, T* y) {
  parallel_for(n, F::work, [=](int64_t begin, int64_t end) {
#pragma omp simd
    for (int64_t i = begin; i < end; ++i) assign(y[i], f.value(acc_t<T>(x[i])));
  });
}

template <class F, class B, class T>
void unary_backward(B, F f, int64_t n, const T* dy, const T* kept, T* dx) {
  using A = acc_t<T>;
  parallel_for(n, 1 + F::work, [=](int64_t begin, int64_t end) {
#pragma omp simd
    for (int64_t i = begin; i < end; ++i) assign(dx[i], A(dy[i]) * f.slope(A(kept[i])));
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
  template void unary_forward(Cpu, AddScalar<acc_t<T>>, int64_t, const T*, T*); \
  template void unary_forward(Cpu, MulScalar<acc_t<T>>, int64_t, const T*, T*);
INSTANTIATE_ALL(float)
INSTANTIATE_ALL(bf16)
INSTANTIATE_ALL(f16)
INSTANTIATE_ALL(double)
#undef INSTANTIATE_ALL
#undef INSTANTIATE

}  // namespace holt
