#include "kernels/kl_divergence.h"

#include <cmath>
#include <limits>

#include "kernels/parallel.h"
#include "kernels/vector_math.h"

namespace holt {
namespace {

constexpr int64_t kExpWork = 16;  // elementary operations, for parallel_for: two exp

// One row's loss, and its four statistics.
template <bool Masked, class T, class A>
A forward_row(const T* teacher, const T* logits, const uint8_t* mask, int64_t C, A scale, A* stats) {
  constexpr A kNone = -std::numeric_limits<A>::infinity();
  A teacher_max = kNone, max = kNone, teacher_sum = 0, sum = 0, dot = 0;
#pragma omp simd reduction(max : teacher_max, max)
  for (int64_t c = 0; c < C; ++c) {
    teacher_max = std::max(teacher_max, Masked && !mask[c] ? kNone : A(teacher[c]));
    max = std::max(max, Masked && !mask[c] ? kNone : A(logits[c]));
  }
#pragma omp simd reduction(+ : teacher_sum, sum, dot)
  for (int64_t c = 0; c < C; ++c) {
    const A t = (A(teacher[c]) - teacher_max) * scale, z = (A(logits[c]) - max) * scale;
    const A et = vmath::exp(t), ez = vmath::exp(z);
    const A product = et * (t - z);
    teacher_sum += Masked && !mask[c] ? A(0) : et;
    sum += Masked && !mask[c] ? A(0) : ez;
    dot += (Masked && !mask[c]) || et == 0 ? A(0) : product;
  }
  stats[0] = teacher_max;
  stats[1] = teacher_sum;
  stats[2] = max;
  stats[3] = sum;
  return dot / teacher_sum - std::log(teacher_sum) + std::log(sum);
}

template <bool Masked, class T, class A>
void backward_row(const T* teacher, const T* logits, const uint8_t* mask, int64_t C, A scale, A each, const A* stats,
                  T* dlogits) {
  const A teacher_max = stats[0], teacher_sum = stats[1], max = stats[2], sum = stats[3];
#pragma omp simd
  for (int64_t c = 0; c < C; ++c) {
    const A t = vmath::exp((A(teacher[c]) - teacher_max) * scale), z = vmath::exp((A(logits[c]) - max) * scale);
    assign(dlogits[c], Masked && !mask[c] ? A(0) : each * (z / sum - t / teacher_sum));
  }
}

}  // namespace

template <class B, class T>
void kl_divergence_forward(B, KlDivergence p, const T* teacher, const T* logits, const uint8_t* mask, acc_t<T>* loss,
                           acc_t<T>* row_loss, acc_t<T>* row_stats) {
  using A = acc_t<T>;
  check(!mask || std::any_of(mask, mask + p.cols, [](uint8_t m) { return m != 0; }),
        "kl_divergence: class_mask excludes all {} classes", p.cols);
  const A scale = A(p.inverse_temperature);
  parallel_for(p.rows, kExpWork * p.cols, [=](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r)
      row_loss[r] =
          (mask ? forward_row<true, T, A> : forward_row<false, T, A>)(teacher + r * p.cols, logits + r * p.cols, mask,
                                                                      p.cols, scale, row_stats + 4 * r);
  });
  double total = 0;
  for (int64_t r = 0; r < p.rows; ++r) total += row_loss[r];
  *loss = A(total / p.rows);
}

template <class B, class T>
void kl_divergence_backward(B, KlDivergence p, const acc_t<T>* dloss, const T* teacher, const T* logits,
                            const uint8_t* mask, const acc_t<T>* row_stats, T* dlogits) {
  using A = acc_t<T>;
  const A scale = A(p.inverse_temperature), each = *dloss * scale / A(p.rows);
  parallel_for(p.rows, kExpWork * p.cols, [=](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r)
      (mask ? backward_row<true, T, A> : backward_row<false, T, A>)(teacher + r * p.cols, logits + r * p.cols, mask,
                                                                    p.cols, scale, each, row_stats + 4 * r,
                                                                    dlogits + r * p.cols);
  });
}

#define INSTANTIATE(T)                                                                                             \
  template void kl_divergence_forward(Cpu, KlDivergence, const T*, const T*, const uint8_t*, acc_t<T>*, acc_t<T>*, \
                                      acc_t<T>*);                                                                  \
  template void kl_divergence_backward(Cpu, KlDivergence, const acc_t<T>*, const T*, const T*, const uint8_t*,     \
                                       const acc_t<T>*, T*);
INSTANTIATE(float)
INSTANTIATE(bf16)
INSTANTIATE(f16)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace holt
