#include "kernels/cross_entropy.h"

#include <cmath>
#include <limits>

#include "kernels/narrow.h"
#include "kernels/parallel.h"
#include "kernels/vector_math.h"

namespace holt {
namespace {

constexpr int64_t kExpWork = 8;  // elementary operations, for parallel_for

int64_t allowed_classes(const CrossEntropy& p, const uint8_t* mask) {
  return mask ? std::count_if(mask, mask + p.cols, [](uint8_t m) { return m != 0; }) : p.cols;
}

// The row's maximum, Σ exp(z − max) and, if asked for, Σ (z − max), over the allowed classes. `next` is the row after
// it.
template <bool Masked, class A, class T>
void reduce_row(const A* z, const uint8_t* mask, int64_t C, A& max, A& sum, A* shifted, const T* next) {
  constexpr A kNone = -std::numeric_limits<A>::infinity();
  A m = kNone, s = 0, t = 0;
#pragma omp simd reduction(max : m)
  for (int64_t c = 0; c < C; ++c) {
    const A v = Masked && !mask[c] ? kNone : z[c];
    m = m < v ? v : m;
  }
  prefetch(C, next);
#pragma omp simd reduction(+ : s)
  for (int64_t c = 0; c < C; ++c) {
    const A e = vmath::exp_negative(z[c] - m);  // of an excluded class, which may be above m, anything
    s += Masked && !mask[c] ? A(0) : e;
  }
  max = m;
  sum = s;
  if (!shifted) return;
#pragma omp simd reduction(+ : t)
  for (int64_t c = 0; c < C; ++c) t += Masked && !mask[c] ? A(0) : z[c] - m;
  *shifted = t;
}

template <bool Masked, class A>
void gradient_row(const A* z, const uint8_t* mask, int64_t C, A max, A scale, A uniform, A* dz) {
#pragma omp simd
  for (int64_t c = 0; c < C; ++c) {
    const A g = vmath::exp_negative(z[c] - max) * scale - uniform;
    dz[c] = Masked && !mask[c] ? A(0) : g;
  }
}

}  // namespace

template <class B, class T>
void cross_entropy_forward(B, CrossEntropy p, const T* logits, const int64_t* labels, const uint8_t* mask,
                           acc_t<T>* loss, acc_t<T>* row_loss, acc_t<T>* row_max, acc_t<T>* row_sum) {
  using A = acc_t<T>;
  for (int64_t r = 0; r < p.rows; ++r) {
    check(labels[r] >= 0 && labels[r] < p.cols, "cross_entropy: labels[{}] is {}, outside 0 … {}", r, labels[r],
          p.cols - 1);
    check(!mask || mask[labels[r]], "cross_entropy: labels[{}] is {}, a class that class_mask excludes", r, labels[r]);
  }
  const A on_label = A(1 - p.smoothing), each = A(p.smoothing / allowed_classes(p, mask));
  for_rows<T, 1>(p.rows, p.cols, kExpWork * p.cols, [=](int64_t r, auto& buffer) {
    const A* z = widen(p.cols, logits + r * p.cols, buffer[0]);
    A shifted = 0;
    (mask ? reduce_row<true, A, T> : reduce_row<false, A, T>)(z, mask, p.cols, row_max[r], row_sum[r],
                                                              p.smoothing != 0 ? &shifted : nullptr,
                                                              logits + (r + 1) * p.cols);
    row_loss[r] = std::log(row_sum[r]) - on_label * (z[labels[r]] - row_max[r]) - each * shifted;
  });
  double total = 0;
  for (int64_t r = 0; r < p.rows; ++r) total += row_loss[r];
  *loss = A(total / p.rows);
}

template <class B, class T>
void cross_entropy_backward(B, CrossEntropy p, const acc_t<T>* dloss, const T* logits, const int64_t* labels,
                            const uint8_t* mask, const acc_t<T>* row_max, const acc_t<T>* row_sum, T* dlogits) {
  using A = acc_t<T>;
  const A each_row = *dloss / A(p.rows);
  const A on_label = A(1 - p.smoothing), each = A(p.smoothing / allowed_classes(p, mask));
  for_rows<T, 1>(p.rows, p.cols, kExpWork * p.cols, [=](int64_t r, auto& buffer) {
    const A* z = widen(p.cols, logits + r * p.cols, buffer[0]);
    A* dz = room(dlogits + r * p.cols, buffer[0]);
    const A scale = each_row / row_sum[r];
    // Again from the logit, not from the finished dz: p − 1 of a confident row is all cancellation.
    const A on = vmath::exp_negative(z[labels[r]] - row_max[r]) * scale - each_row * each - each_row * on_label;
    (mask ? gradient_row<true, A> : gradient_row<false, A>)(z, mask, p.cols, row_max[r], scale, each_row * each, dz);
    dz[labels[r]] = on;
    narrow(p.cols, dz, dlogits + r * p.cols);
  });
}

#define INSTANTIATE(T)                                                                                               \
  template void cross_entropy_forward(Cpu, CrossEntropy, const T*, const int64_t*, const uint8_t*, acc_t<T>*,        \
                                      acc_t<T>*, acc_t<T>*, acc_t<T>*);                                              \
  template void cross_entropy_backward(Cpu, CrossEntropy, const acc_t<T>*, const T*, const int64_t*, const uint8_t*, \
                                       const acc_t<T>*, const acc_t<T>*, T*);
INSTANTIATE(float)
INSTANTIATE(bf16)
INSTANTIATE(f16)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace holt
