#include "kernels/weight_gradient.h"

#include "kernels/bias_activation.h"
#include "kernels/cuda/cublaslt.h"
#include "kernels/gpu.cuh"
#include "kernels/matmul.h"

namespace holt {

// There is no kernel here: the own rung, separate, is two others' work, each of which has its rungs.
template <class B, class T>
void weight_gradient(B gpu, WeightGradient p, const T* dy, const T* x, T* dw, T* db) {
  if constexpr (std::is_same_v<B, Cuda>)
    if (vendor_chosen("weight_gradient") &&
        cuda::cublaslt::weight_gradient(gpu, dtype_of<T>, p.rows, p.out, p.in, dy, x, dw, db))
      return;
  weight_gradient_rungs.pick("separate");  // an unknown choice is an error
  const T* null = nullptr;
  bias_activation_backward(gpu, {p.rows, p.out}, dy, null, static_cast<T*>(nullptr), db);
  matmul(gpu, Matmul{.batch = 1, .m = p.out, .n = p.in, .k = p.rows, .transpose_a = true}, dy, x, null, dw,
         static_cast<T*>(nullptr));
}

#define INSTANTIATE(T) template void weight_gradient(Gpu, WeightGradient, const T*, const T*, T*, T*);
INSTANTIATE(float)
INSTANTIATE(bf16)
INSTANTIATE(f16)
#undef INSTANTIATE

}  // namespace holt
