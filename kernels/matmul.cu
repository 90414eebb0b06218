#include "kernels/matmul.h"

#include "kernels/gpu.cuh"

namespace holt {
namespace {

// Rung 1, naive: one thread an output element. Every operand element is read from global memory M or N times.
template <class T>
__global__ void matmul_naive(Matmul p, const T* a, const T* b, const T* bias, T* c, T* pre) {
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i >= p.batch * p.m * p.n) return;
  const int64_t col = i % p.n, row = i / p.n % p.m, batch = i / (p.n * p.m);
  if (!p.shared_a) a += batch * p.m * p.k;
  if (!p.shared_b) b += batch * p.k * p.n;
  float sum = bias ? float(bias[col]) : 0;
  for (int64_t k = 0; k < p.k; ++k)
    sum += float(p.transpose_a ? a[k * p.m + row] : a[row * p.k + k]) *
           float(p.transpose_b ? b[col * p.k + k] : b[k * p.n + col]);
  if (pre) pre[i] = T(sum);
  c[i] = T(activate(p.activation, sum));
}

template <class T>
void run_naive(Gpu gpu, const Matmul& p, const T* a, const T* b, const T* bias, T* c, T* pre) {
  launch<matmul_naive<T>>(gpu, {cdiv(p.batch * p.m * p.n, 256), 256}, p, a, b, bias, c, pre);
}

}  // namespace

template <class B, class T>
void matmul(B gpu, Matmul p, const T* a, const T* b, const T* bias, T* c, T* pre) {
  run_naive(gpu, p, a, b, bias, c, pre);
}

#define INSTANTIATE(T) template void matmul(Gpu, Matmul, const T*, const T*, const T*, T*, T*);
INSTANTIATE(float)
INSTANTIATE(bf16)
INSTANTIATE(f16)
#undef INSTANTIATE

}  // namespace holt
