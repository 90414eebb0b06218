// Batch normalisation per channel (Ioffe & Szegedy 2015): x is [R, C], R = all axes but the last.
//
//   y[r,c] = relu?((x[r,c] − mean[c])·rstd[c]·w[c] + b[c] + residual?[r,c])
//   training:  mean, var of the batch; rstd = 1/√(var + eps); running ← (1 − m)·running + m·(mean, var·R/(R−1))
//   otherwise: mean, var = the running ones, which stay as they are
//
//   g  = dy where y > 0 (all of dy without relu);   dresidual = g;   db = Σ_r g;   dw = Σ_r g·x̂,  x̂ = (x − mean)·rstd
//   dx = w·rstd·(g − db/R − x̂·dw/R) in training,  w·rstd·g otherwise
//
// Bytes (s = sizeof(T), tensors beyond the cache): training forward 3·R·C·s (x twice: nothing can be normalised before
// all of it is summed), else 2; training backward 5·R·C·s, else 3; a residual adds 1 forward and, with relu, 2
// backward. Flops: 9·R·C forward, 12·R·C backward. Memory-bound everywhere. Numerics: variance around the mean of each
// cached piece, pieces merged by Chan et al. 1979: |mean| ≫ σ is safe. x − mean is taken before scaling, for the same
// reason. All sums in fixed order: the same bits every time.
#pragma once
#include "kernels/device.h"
#include "kernels/rungs.h"

namespace holt {

struct BatchNorm {
  int64_t rows, channels;
  double eps, momentum;
  bool training, relu;
};

inline constexpr Rungs<3> batch_norm_forward_rungs{"batch_norm_forward", {"naive", "two_stage", "vec16"}};
inline constexpr Rungs<3> batch_norm_backward_rungs{"batch_norm_backward", {"naive", "two_stage", "vec16"}};

/// y[R,C], mean[C], rstd[C]  ←  x[R,C], w[C], b[C], residual[R,C] or null; updates running_mean[C] and running_var[C]
/// in training, which needs R ≥ 2.      T: float, bf16, f16, double (cpu).   B: Cpu, Cuda, Simt.
template <class B, class T>
void batch_norm_forward(B, BatchNorm, const T* x, const acc_t<T>* w, const acc_t<T>* b, const T* residual,
                        acc_t<T>* running_mean, acc_t<T>* running_var, T* y, acc_t<T>* mean, acc_t<T>* rstd);

/// Each of dx[R,C], dw[C], db[C], dresidual[R,C] is written if its pointer is not null. With relu, the mask is y > 0,
/// or recomputed from x where y is null (then there must have been no residual). x may be null where nothing reads it:
/// not training, no dw, and no mask from x; b may be null unless the mask comes from x.
template <class B, class T>
void batch_norm_backward(B, BatchNorm, const T* dy, const T* x, const T* y, const acc_t<T>* w, const acc_t<T>* b,
                         const acc_t<T>* mean, const acc_t<T>* rstd, T* dx, acc_t<T>* dw, acc_t<T>* db, T* dresidual);

}  // namespace holt
