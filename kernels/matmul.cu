// Bound by arithmetic for layers of networks. ViT-B's first MLP layer at batch 64, [12608, 768]·[768, 3072], is 59.5
// GFLOP on 102 MB of bf16: 60 µs of an H100's tensor cores (989 TFLOP/s; its memory 30), 361 µs of an RTX 4090's (165;
// 101). In f32: 0.89 ms (67 TFLOP/s) and 0.72 ms (82.6). Products of an attention (K = 64) and of a classifier's head
// (N = 10) are bound by memory. gemm_register.cuh and gemm_mma.cuh say why their tiles are as they are; 70 to 128
// registers, 17 to 60 KB of shared memory and 25 to 37 % of an H100's threads, which suffices where a thread has 32 to
// 64 independent sums. docs/kernels.md walks through the rungs.
#include "kernels/matmul.h"

#include "kernels/cuda/cublaslt.h"
#include "kernels/gemm_mma.cuh"
#include "kernels/gemm_register.cuh"
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

// Rung 2, tiled: a block of 16×16 threads makes 16×16 outputs from tiles of both operands in shared memory, so that
// global memory is read 16 times less. Tiles are read along the rows of what is stored, whatever is transposed; the
// column more keeps the transposed reads off one bank.
constexpr int kSide = 16;

template <class T>
__global__ void matmul_tiled(Matmul p, const T* a, const T* b, const T* bias, T* c, T* pre) {
  SHARED(float, a_tile, [kSide][kSide + 1]);  // [row][k]
  SHARED(float, b_tile, [kSide][kSide + 1]);  // [k][col]
  const int64_t across = cdiv(p.n, kSide), down = cdiv(p.m, kSide), id = blockIdx.x;
  const int64_t first_col = id % across * kSide, first_row = id / across % down * kSide, batch = id / (across * down);
  const int x = threadIdx.x % kSide, y = threadIdx.x / kSide;
  if (!p.shared_a) a += batch * p.m * p.k;
  if (!p.shared_b) b += batch * p.k * p.n;
  float sum = 0;
  for (int64_t k = 0; k < p.k; k += kSide) {
    if (p.transpose_a)
      a_tile[x][y] = k + y < p.k && first_row + x < p.m ? float(a[(k + y) * p.m + first_row + x]) : 0.0f;
    else
      a_tile[y][x] = k + x < p.k && first_row + y < p.m ? float(a[(first_row + y) * p.k + k + x]) : 0.0f;
    if (p.transpose_b)
      b_tile[x][y] = k + x < p.k && first_col + y < p.n ? float(b[(first_col + y) * p.k + k + x]) : 0.0f;
    else
      b_tile[y][x] = k + y < p.k && first_col + x < p.n ? float(b[(k + y) * p.n + first_col + x]) : 0.0f;
    __syncthreads();
    for (int d = 0; d < kSide; ++d) sum += a_tile[y][d] * b_tile[d][x];
    __syncthreads();
  }
  const int64_t row = first_row + y, col = first_col + x, i = (batch * p.m + row) * p.n + col;
  if (row >= p.m || col >= p.n) return;
  if (bias) sum += float(bias[col]);
  if (pre) pre[i] = T(sum);
  c[i] = T(activate(p.activation, sum));
}

template <class T>
void run_naive(Gpu gpu, const Matmul& p, const T* a, const T* b, const T* bias, T* c, T* pre) {
  launch<matmul_naive<T>>(gpu, {cdiv(p.batch * p.m * p.n, 256), 256}, p, a, b, bias, c, pre);
}

template <class T>
void run_tiled(Gpu gpu, const Matmul& p, const T* a, const T* b, const T* bias, T* c, T* pre) {
  launch<matmul_tiled<T>>(gpu, {p.batch * cdiv(p.m, kSide) * cdiv(p.n, kSide), kSide * kSide}, p, a, b, bias, c, pre);
}

struct Activated {
  Activation kind;
  __device__ float operator()(float x) const { return activate(kind, x); }
};

// Rung 3: outputs in registers (gemm_register.cuh), on tensor cores for 16-bit types (gemm_mma.cuh).
template <class T>
void run_gemm(Gpu gpu, const Matmul& p, const T* a, const T* b, const T* bias, T* c, T* pre) {
  if (p.batch * p.m * p.n == 0) return;
  gemm::run(gpu, "matmul", p.batch, p.m, p.n, p.k,
            gemm::Dense<T>(a, p.m, p.k, !p.transpose_a, p.shared_a ? 0 : p.m * p.k),
            gemm::Dense<T>(b, p.n, p.k, p.transpose_b, p.shared_b ? 0 : p.k * p.n),
            gemm::Epilogue<T, Activated>{c, pre, bias, {p.activation}, p.m * p.n, p.n});
}

}  // namespace

// Every product on a GPU starts here.
template <class B, class T>
void matmul(B gpu, Matmul p, const T* a, const T* b, const T* bias, T* c, T* pre) {
  if constexpr (std::is_same_v<B, Cuda>)
    if (vendor_chosen("matmul") && cuda::cublaslt::matmul(gpu, dtype_of<T>, p, a, b, bias, c, pre)) return;
  constexpr decltype(&run_naive<T>) rungs[] = {run_naive<T>, run_tiled<T>, run_gemm<T>};
  constexpr bool f32 = std::is_same_v<T, float>;
  const size_t rung = f32 ? matmul_rungs_f32.pick("register") : matmul_rungs_16bit.pick("mma");
  rungs[rung](gpu, p, a, b, bias, c, pre);
}

#define INSTANTIATE(T) template void matmul(Gpu, Matmul, const T*, const T*, const T*, T*, T*);
INSTANTIATE(float)
INSTANTIATE(bf16)
INSTANTIATE(f16)
#undef INSTANTIATE

}  // namespace holt
