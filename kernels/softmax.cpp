#include "kernels/softmax.h"

#include <cmath>
#include <limits>

#include "kernels/memory.h"
#include "kernels/parallel.h"
#include "kernels/vector_math.h"

namespace holt {
namespace {

constexpr int64_t kExpWork = 8;  // elementary operations, for parallel_for

// One row; e[C] is scratch for the exponentials and may be y itself.
template <class T, class A>
void forward_row(const Softmax& p, const T* x, T* y, A* e) {
  const int64_t C = p.cols;
  A m = -std::numeric_limits<A>::infinity(), sum = 0;
#pragma omp simd reduction(max : m)
  for (int64_t c = 0; c < C; ++c) m = std::max(m, A(x[c]));
  if (p.log) {
#pragma omp simd reduction(+ : sum)
    for (int64_t c = 0; c < C; ++c) sum += vmath::exp(A(x[c]) - m);
    const A log_sum = std::log(sum);
#pragma omp simd
    for (int64_t c = 0; c < C; ++c) assign(y[c], (A(x[c]) - m) - log_sum);
  } else {
#pragma omp simd reduction(+ : sum)
    for (int64_t c = 0; c < C; ++c) {
      e[c] = vmath::exp(A(x[c]) - m);
      sum += e[c];
    }
    const A scale = 1 / sum;
#pragma omp simd
    for (int64_t c = 0; c < C; ++c) assign(y[c], e[c] * scale);
  }
}

}  // namespace

template <class B, class T>
void softmax_forward(B, Softmax p, const T* x, T* y) {
  using A = acc_t<T>;
  if constexpr (std::is_same_v<A, T>) {
    parallel_for(p.rows, kExpWork * p.cols, [=](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) forward_row(p, x + r * p.cols, y + r * p.cols, y + r * p.cols);
    });
  } else {
    // A 16-bit y cannot hold the exponentials: each thread has a row of float for them.
    const int64_t parts = std::min<int64_t>(p.rows, threads_for(p.rows * kExpWork * p.cols));
    const Workspace scratch(Cpu{}, parts * p.cols * sizeof(A));
    parallel_for(parts, p.rows * kExpWork * p.cols, [&](int64_t begin, int64_t end) {
      for (int64_t r = p.rows * begin / parts; r < p.rows * end / parts; ++r)
        forward_row(p, x + r * p.cols, y + r * p.cols, scratch.as<A>() + begin * p.cols);
    });
  }
}

template <class B, class T>
void softmax_backward(B, Softmax p, const T* dy, const T* y, T* dx) {
  using A = acc_t<T>;
  const int64_t C = p.cols;
  parallel_for(p.rows, (p.log ? kExpWork : 4) * C, [=](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const T *dyr = dy + r * C, *yr = y + r * C;
      T* dxr = dx + r * C;
      A sum = 0;
      if (p.log) {
#pragma omp simd reduction(+ : sum)
        for (int64_t c = 0; c < C; ++c) sum += A(dyr[c]);
#pragma omp simd
        for (int64_t c = 0; c < C; ++c) assign(dxr[c], A(dyr[c]) - vmath::exp(A(yr[c])) * sum);
      } else {
#pragma omp simd reduction(+ : sum)
        for (int64_t c = 0; c < C; ++c) sum += A(dyr[c]) * A(yr[c]);
#pragma omp simd
        for (int64_t c = 0; c < C; ++c) assign(dxr[c], A(yr[c]) * (A(dyr[c]) - sum));
      }
    }
  });
}

#define INSTANTIATE(T)                                       \
  template void softmax_forward(Cpu, Softmax, const T*, T*); \
  template void softmax_backward(Cpu, Softmax, const T*, const T*, T*);
INSTANTIATE(float)
INSTANTIATE(bf16)
INSTANTIATE(f16)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace holt
