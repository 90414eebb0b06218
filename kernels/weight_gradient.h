// The gradients of a linear map's weight and bias, y = x·wᵀ + bias:
//
//   dw[o,i] = Σ_r dy[r,o]·x[r,i]          db[o] = Σ_r dy[r,o]          dy [rows, out], x [rows, in]
//
// Flops: 2·rows·out·in. Bytes: sizeof(T)·(rows·(out + in) + out·in): dy is read once for both where the vendor's
// library makes them in one product (cuda); the rung "separate" reads it twice, 1/(1 + in/out) more. With an activation
// dy is not yet what is multiplied: bias_activation.h makes it, and db on the way, in one pass. Numerics: as matmul.h
// and bias_activation.h; rows = 0 gives zeros.
#pragma once
#include "kernels/device.h"
#include "kernels/rungs.h"

namespace holt {

struct WeightGradient {
  int64_t rows, out, in;
};

inline constexpr Rungs<1> weight_gradient_rungs{"weight_gradient", {"separate"}, true};

/// dw, db ← dy, x. No pointers may overlap. T: float, bf16, f16, double (cpu).
template <class B, class T>
void weight_gradient(B, WeightGradient, const T* dy, const T* x, T* dw, T* db);

}  // namespace holt
