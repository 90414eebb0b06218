// Matrix product with epilogue:   pre = op(a)·op(b) + bias,   c = activation(pre),   op(x) = x or xᵀ.
//
//   a [batch, M, K] ([batch, K, M] when transposed)     b [batch, K, N] ([batch, N, K])     bias [N]     c, pre [batch,
//   M, N]
//
// Flops: 2·batch·M·N·K. Bytes: sizeof(T)·batch·(M·K + K·N + M·N), less what a shared operand saves. Intensity grows
// with the smallest of M, N and K: products of networks are bound by arithmetic, attention's (K = 64) and a classifier
// head's (N = 10) by memory.
// On cuda, cuBLASLt is one more rung (kernels/cuda/cublaslt.h), "vendor", and the one that is taken if none is chosen.
// Numerics: 16-bit operands are multiplied exactly and summed in float; bias and activation are applied to that sum
// before the one rounding. K = 0 gives activation(bias).
#pragma once
#include "kernels/activation.h"
#include "kernels/device.h"
#include "kernels/rungs.h"

namespace holt {

struct Matmul {
  int64_t batch, m, n, k;
  bool transpose_a = false, transpose_b = false;
  bool shared_a = false, shared_b = false;  ///< one a (or b), without batch axis, for the whole batch
  Activation activation = Activation::none;
};

inline constexpr Rungs<3> matmul_rungs_f32{"matmul", {"naive", "tiled", "register"}, true};
inline constexpr Rungs<3> matmul_rungs_16bit{"matmul", {"naive", "tiled", "mma"}, true};

/// c, pre ← a, b, bias. bias and pre may be null; no pointers may overlap. T: float, bf16, f16, double (cpu).
template <class B, class T>
void matmul(B, Matmul, const T* a, const T* b, const T* bias, T* c, T* pre);

}  // namespace holt
