#include "kernels/weight_gradient.h"

#include "kernels/bias_activation.h"
#include "kernels/matmul.h"

namespace holt {

template <class B, class T>
void weight_gradient(B cpu, WeightGradient p, const T* dy, const T* x, T* dw, T* db) {
  const T* null = nullptr;
  bias_activation_backward(cpu, {p.rows, p.out}, dy, null, static_cast<T*>(nullptr), db);
  matmul(cpu, Matmul{.batch = 1, .m = p.out, .n = p.in, .k = p.rows, .transpose_a = true}, dy, x, null, dw,
         static_cast<T*>(nullptr));
}

#define INSTANTIATE(T) template void weight_gradient(Cpu, WeightGradient, const T*, const T*, T*, T*);
INSTANTIATE(float)
INSTANTIATE(bf16)
INSTANTIATE(f16)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace holt
