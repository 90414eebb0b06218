// The backward of a product's epilogue c = activation(pre), pre = … + bias:
//
//   dpre[r,c] = dy[r,c]·activation'(saved[r,c])          db[c] = Σ_r dpre[r,c]
//
// saved [R,C] is the output for relu, null for none, else the pre-activation (activation.h says why).
// Bytes: 3·R·C·sizeof(T) with an activation, R·C·sizeof(T) for a bias alone; flops 2 to 30 an element: memory-bound.
// Numerics: db sums the unrounded dpre, in acc_t<T>; pieces of a fixed number of rows are summed apart and added in
// order, so that the result depends on neither threads nor timing.
// With `none` and dpre null this is a plain sum over rows: convolutions take their bias gradient from it, and products
// the sum over a batch that shared one operand.
#pragma once
#include "kernels/activation.h"
#include "kernels/device.h"
#include "kernels/rungs.h"

namespace holt {

struct BiasActivation {
  int64_t rows, cols;
  Activation activation = Activation::none;
};

inline constexpr Rungs<2> bias_activation_backward_rungs{"bias_activation_backward", {"naive", "chunks"}};

/// dpre and db are written if not null. dpre may be dy. T: float, bf16, f16, double (cpu).
template <class B, class T>
void bias_activation_backward(B, BiasActivation, const T* dy, const T* saved, T* dpre, T* db);

}  // namespace holt
