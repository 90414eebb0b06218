// Kullback-Leibler divergence of softmax(logits/T) from softmax(teacher/T), class mask included, without ever storing
// the probabilities (distillation: Hinton et al. 2015).
//
//   A = allowed classes (all, or those with mask ≠ 0)
//   t = (teacher − max_A teacher)/T,  z = (logits − max_A logits)/T,  S_t = Σ_A exp t,  S_z = Σ_A exp z
//   p = exp t / S_t,  q = exp z / S_z
//   row_loss[r] = Σ_A p·(log p − log q) = Σ_A p·(t − z) − log S_t + log S_z       loss = 1/R Σ_r row_loss[r]
//   dlogits[r,c] = dloss/(R·T)·(q − p)  for c in A, 0 outside;  the teacher is a constant
//
// Bytes: forward 2·R·C·sizeof(T), backward 3·R·C·sizeof(T). Flops: about 50·R·C each (two exp).
// Numerics: the maxima and sums are kept apart (16 bytes a row), because max + log S in float would cost |max|·eps of
// every probability. A class with p = 0 adds nothing, also where its t is −∞. Equal logits give a loss and a gradient
// of exactly 0: q and p are divided out, because a difference of products would be contracted to an FMA and leave the
// product's rounding. Sums in acc_t<T>; the mean over rows is added in a fixed order.
// A mask without a class: Error on cpu, NaN on a GPU, which cannot throw and must not make the host wait.
#pragma once
#include "kernels/device.h"
#include "kernels/rungs.h"

namespace holt {

struct KlDivergence {
  int64_t rows, cols;
  double inverse_temperature;  ///< 1/T, positive
};

inline constexpr Rungs<2> kl_divergence_forward_rungs{"kl_divergence_forward", {"naive", "warp"}};
inline constexpr Rungs<2> kl_divergence_backward_rungs{"kl_divergence_backward", {"naive", "warp"}};

/// loss[1], row_loss[R], row_stats[R,4] (max_A teacher, S_t, max_A logits, S_z)  ←  teacher[R,C], logits[R,C], mask[C]
/// or null. T: float, bf16, f16, double (cpu).   B: Cpu, Cuda, Simt.
template <class B, class T>
void kl_divergence_forward(B, KlDivergence, const T* teacher, const T* logits, const uint8_t* mask, acc_t<T>* loss,
                           acc_t<T>* row_loss, acc_t<T>* row_stats);

/// dlogits[R,C]  ←  dloss[1], the forward's inputs and row_stats.
template <class B, class T>
void kl_divergence_backward(B, KlDivergence, const acc_t<T>* dloss, const T* teacher, const T* logits,
                            const uint8_t* mask, const acc_t<T>* row_stats, T* dlogits);

}  // namespace holt
