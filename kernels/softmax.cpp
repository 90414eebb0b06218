#include "kernels/softmax.h"

#include <cmath>
#include <limits>

#include "kernels/brief.h"
#include "kernels/memory.h"
#include "kernels/narrow.h"
#include "kernels/parallel.h"
#include "kernels/vector_math.h"

namespace holt {
namespace {

constexpr int64_t kExpWork = 8;  // elementary operations, for parallel_for

// A row at a time stays in the nearest caches from its first pass to its last. y may be x; `next` is the row after it.
template <class A, class T>
void forward_row(const Softmax& p, const A* x, A* y, const T* next) {
  const int64_t C = p.cols;
  A m = -std::numeric_limits<A>::infinity(), sum = 0;
#pragma omp simd reduction(max : m)
  for (int64_t c = 0; c < C; ++c) m = m < x[c] ? x[c] : m;  // std::max() would select an address
  prefetch(C, next);
  if (p.log) {
#pragma omp simd reduction(+ : sum)
    for (int64_t c = 0; c < C; ++c) sum += vmath::exp_negative(x[c] - m);
    const A log_sum = std::log(sum);
#pragma omp simd
    for (int64_t c = 0; c < C; ++c) y[c] = (x[c] - m) - log_sum;
  } else {
#pragma omp simd reduction(+ : sum)
    for (int64_t c = 0; c < C; ++c) {
      const A e = vmath::exp_negative(x[c] - m);
      y[c] = e;
      sum += e;
    }
    const A scale = 1 / sum;
#pragma omp simd
    for (int64_t c = 0; c < C; ++c) y[c] *= scale;
  }
}

// In bf16, by the exponential that is good enough for it. `room` has space for whole vectors.
void forward_row(const Softmax& p, const bf16* x, bf16* y, float* room) {
  using lanes::Vec, lanes::kLanes;
  const int64_t C = p.cols, whole = (C + kLanes - 1) / kLanes * kLanes;
  widen(C, x, room);
  std::fill(room + C, room + whole, -std::numeric_limits<float>::infinity());  // adds nothing
  Vec largest = lanes::load(room);
  for (int64_t c = kLanes; c < whole; c += kLanes) largest = lanes::larger(largest, lanes::load(room + c));
  const float m = lanes::fold(largest, [](auto a, auto b) { return a < b ? b : a; });
  prefetch(C, x + C);
  Vec sums = {};
  if (p.log) {
    for (int64_t c = 0; c < whole; c += kLanes) sums += brief::exp_negative(lanes::load(room + c) - m);
    const float log_sum = std::log(lanes::sum(sums));
#pragma omp simd
    for (int64_t c = 0; c < C; ++c) room[c] = (room[c] - m) - log_sum;
  } else {
    for (int64_t c = 0; c < whole; c += kLanes) {
      const Vec e = brief::exp_negative(lanes::load(room + c) - m);
      lanes::store(room + c, e);
      sums += e;
    }
    const float scale = 1 / lanes::sum(sums);
#pragma omp simd
    for (int64_t c = 0; c < C; ++c) room[c] *= scale;
  }
  narrow(C, room, y);
}

void log_backward_row(int64_t C, const bf16* dy, const bf16* y, bf16* dx, float* room) {
  const float* const g = widen(C, dy, room);
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t c = 0; c < C; ++c) sum += g[c];
  const auto gradient = [sum](lanes::Vec g_c, lanes::Vec y_c) { return g_c - brief::exp_negative(y_c) * sum; };
  lanes::map(C, room, gradient, g, y);
  narrow(C, room, dx);
}

template <class A>
void log_backward_row(int64_t C, const A* dy, const A* y, A* dx) {
  A sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t c = 0; c < C; ++c) sum += dy[c];
#pragma omp simd
  for (int64_t c = 0; c < C; ++c) dx[c] = dy[c] - vmath::exp_negative(y[c]) * sum;
}

// So little is computed that a 16-bit row is better converted on the way, twice, than put down in between.
template <class T>
void backward_row(int64_t C, const T* dy, const T* y, T* dx) {
  using A = acc_t<T>;
  A sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t c = 0; c < C; ++c) sum += A(dy[c]) * A(y[c]);
#pragma omp simd
  for (int64_t c = 0; c < C; ++c) assign(dx[c], A(y[c]) * (A(dy[c]) - sum));
}

}  // namespace

template <class B, class T>
void softmax_forward(B, Softmax p, const T* x, T* y) {
  const int64_t C = p.cols;
  for_rows<T, 1>(p.rows, C, kExpWork * C, [=](int64_t r, auto& buffer) {
    if constexpr (std::is_same_v<T, bf16>) {
      forward_row(p, x + r * C, y + r * C, buffer[0]);
    } else {
      acc_t<T>* yr = room(y + r * C, buffer[0]);
      forward_row(p, widen(C, x + r * C, buffer[0]), yr, x + (r + 1) * C);
      narrow(C, yr, y + r * C);
    }
  });
}

template <class B, class T>
void softmax_backward(B, Softmax p, const T* dy, const T* y, T* dx) {
  const int64_t C = p.cols;
  if (!p.log)
    return parallel_for(p.rows, 4 * C, [=](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) backward_row(C, dy + r * C, y + r * C, dx + r * C);
    });
  for_rows<T, 2>(p.rows, C, kExpWork * C, [=](int64_t r, auto& buffer) {
    if constexpr (std::is_same_v<T, bf16>) return log_backward_row(C, dy + r * C, y + r * C, dx + r * C, buffer[0]);
    acc_t<T>* dxr = room(dx + r * C, buffer[0]);
    log_backward_row(C, widen(C, dy + r * C, buffer[0]), widen(C, y + r * C, buffer[1]), dxr);
    narrow(C, dxr, dx + r * C);
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
