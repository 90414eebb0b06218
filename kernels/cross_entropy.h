// Cross-entropy of softmax(logits), label smoothing and a class mask included, without ever storing the probabilities.
//
//   A = allowed classes (all, or those with mask ≠ 0),  K = |A|,  m = max_A z,  S = Σ_A exp(z − m),  s = smoothing
//   row_loss[r] = log S − (1 − s)·(z[label] − m) − s/K·Σ_A (z − m)           loss = 1/R Σ_r row_loss[r]
//   dz[r,c]     = dloss/R·(exp(z − m)/S − (1 − s)·[c = label] − s/K)  for c in A, 0 outside
//
// Bytes: forward R·C·sizeof(T), backward 2·R·C·sizeof(T). Flops: about 25·R·C each (the exp).
// Numerics: m and S are kept apart (8 bytes a row), because m + log S in float would cost |m|·eps of every probability.
// Sums in acc_t<T>; the mean over rows is added in a fixed order.
// A label outside 0 … C−1 or outside the mask: Error on cpu, before any work. A GPU cannot throw and must not make the
// host wait: there the row's loss, and so the mean, becomes NaN, and so does the row's gradient; no other row's does,
// and nothing is read out of bounds.
#pragma once
#include "kernels/device.h"
#include "kernels/rungs.h"

namespace holt {

struct CrossEntropy {
  int64_t rows, cols;
  double smoothing;
};

inline constexpr Rungs<2> cross_entropy_forward_rungs{"cross_entropy_forward", {"naive", "warp"}};
inline constexpr Rungs<2> cross_entropy_backward_rungs{"cross_entropy_backward", {"naive", "warp"}};

/// loss[1], row_loss[R], row_max[R] (m), row_sum[R] (S)  ←  logits[R,C], labels[R], mask[C] or null.
/// T: float, bf16, f16, double (cpu).   B: Cpu, Cuda, Simt.
template <class B, class T>
void cross_entropy_forward(B, CrossEntropy, const T* logits, const int64_t* labels, const uint8_t* mask, acc_t<T>* loss,
                           acc_t<T>* row_loss, acc_t<T>* row_max, acc_t<T>* row_sum);

/// dlogits[R,C]  ←  dloss[1], the forward's inputs, row_max and row_sum.
template <class B, class T>
void cross_entropy_backward(B, CrossEntropy, const acc_t<T>* dloss, const T* logits, const int64_t* labels,
                            const uint8_t* mask, const acc_t<T>* row_max, const acc_t<T>* row_sum, T* dlogits);

}  // namespace holt
