// Layer normalisation over the last axis (Ba et al. 2016, eq. 4).
//
//   mean[r] = 1/C Σ_c x[r,c]          rstd[r] = 1/√(1/C Σ_c (x[r,c] − mean[r])² + eps)
//   y[r,c]  = x̂·w[c] + b[c]           x̂ = (x[r,c] − mean[r])·rstd[r]
//   dx      = rstd·(g − ⟨g⟩ − x̂·⟨g·x̂⟩)   g = dy·w,  ⟨·⟩ the mean over c;   dw = Σ_r dy·x̂,  db = Σ_r dy
//
// In a transformer the normalised x is the residual stream, x = sum + branch, and goes on besides: the forward may add
// it up and the backward add what comes back from the stream, each in the pass that it makes anyway.
//
// Bytes: forward 2·R·C·sizeof(T), backward 3·R·C·sizeof(T); with the residual 4·R·C·sizeof(T) both, where an addition
// of its own would make it 5 and 6. Flops: forward 8·R·C, backward 14·R·C. Memory-bound everywhere. Numerics: two
// passes over a row (a one-pass variance cancels when |mean| ≫ σ); sums in acc_t<T>.
#pragma once
#include "kernels/device.h"
#include "kernels/rungs.h"

namespace holt {

struct LayerNorm {
  int64_t rows, cols;
  double eps;
};

inline constexpr Rungs<3> layer_norm_forward_rungs{"layer_norm_forward", {"naive", "warp", "vec16"}};
inline constexpr Rungs<2> layer_norm_backward_rungs{"layer_norm_backward", {"naive", "warp"}};

/// y[R,C], mean[R], rstd[R]  ←  x[R,C], w[C], b[C]. Parameters and statistics are acc_t<T>: a network's are f32,
/// whatever its activations are.      T: float, bf16, f16, double (cpu).   B: Cpu, Cuda, Simt. If `residual` [R,C] is
/// not null, x + residual, rounded to T, is written to sum [R,C] and is what is normalised.
template <class B, class T>
void layer_norm_forward(B, LayerNorm, const T* x, const T* residual, const acc_t<T>* w, const acc_t<T>* b, T* sum, T* y,
                        acc_t<T>* mean, acc_t<T>* rstd);

/// Each of dx[R,C], dw[C], db[C] is written if its pointer is not null. dsum [R,C], if not null, is added to dx: the
/// gradient that comes to x by another way.
template <class B, class T>
void layer_norm_backward(B, LayerNorm, const T* dy, const T* x, const acc_t<T>* w, const acc_t<T>* mean,
                         const acc_t<T>* rstd, const T* dsum, T* dx, acc_t<T>* dw, acc_t<T>* db);

}  // namespace holt
