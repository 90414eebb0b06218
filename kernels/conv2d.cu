// Bound by arithmetic where channels are many: 2·N·OH·OW·Cout·KH·KW·Cin flops. A 3×3 convolution of 64 channels in
// ResNet-50's first stage at batch 64 is 14.8 GFLOP on 51 MB of bf16: 15 µs of an H100's tensor cores (989 TFLOP/s) and
// 15 µs of its memory (3.35 TB/s); 90 and 51 µs on an RTX 4090 (165 TFLOP/s, 1.01 TB/s). In f32: 221 µs (67 TFLOP/s)
// and 179 µs (82.6). Tiles, registers, shared memory and occupancy are the matrix product's (gemm_register.cuh,
// gemm_mma.cuh): 62 to 122 registers on sm_90 for f32, 96 to 128 for 16-bit types, so 25 to 50 % of an H100's threads.
// One block a tile, in an order that lets neighbours share operands in L2.
#include "kernels/conv2d.h"

#include "kernels/conv2d_operands.cuh"
#include "kernels/cuda/cudnn.h"
#include "kernels/gemm_mma.cuh"
#include "kernels/gemm_register.cuh"
#include "kernels/gpu.cuh"

namespace holt {
namespace {

// ---- Rung 1, naive: one thread an output element, walking its window (or, for dw, all pixels) ----

template <class T>
__global__ void forward_naive(Conv2d p, const T* x, const T* w, const T* bias, T* y) {
  const int64_t id = int64_t{blockIdx.x} * blockDim.x + threadIdx.x, oh = p.out_h(), ow = p.out_w();
  if (id >= p.n * oh * ow * p.cout) return;
  const int64_t o = id % p.cout, j = id / p.cout % ow, i = id / (p.cout * ow) % oh, n = id / (p.cout * ow * oh);
  float sum = bias ? float(bias[o]) : 0;
  for (int64_t u = 0; u < p.kh; ++u)
    for (int64_t v = 0; v < p.kw; ++v) {
      const int64_t a = i * p.stride_h + u - p.pad_h, b = j * p.stride_w + v - p.pad_w;
      if (a < 0 || a >= p.h || b < 0 || b >= p.w) continue;
      for (int64_t c = 0; c < p.cin; ++c)
        sum += float(x[((n * p.h + a) * p.w + b) * p.cin + c]) * float(w[((o * p.kh + u) * p.kw + v) * p.cin + c]);
    }
  y[id] = T(p.relu ? (sum < 0 ? 0.0f : sum) : sum);
}

template <class T>
__global__ void backward_data_naive(Conv2d p, const T* dy, const T* w, T* dx) {
  const int64_t id = int64_t{blockIdx.x} * blockDim.x + threadIdx.x, oh = p.out_h(), ow = p.out_w();
  if (id >= p.n * p.h * p.w * p.cin) return;
  const int64_t c = id % p.cin, b = id / p.cin % p.w, a = id / (p.cin * p.w) % p.h, n = id / (p.cin * p.w * p.h);
  float sum = 0;
  for (int64_t u = 0; u < p.kh; ++u)
    for (int64_t v = 0; v < p.kw; ++v) {
      const int64_t i = a + p.pad_h - u, j = b + p.pad_w - v;  // times the strides
      if (i < 0 || j < 0 || i % p.stride_h || j % p.stride_w || i / p.stride_h >= oh || j / p.stride_w >= ow) continue;
      const T* g = dy + ((n * oh + i / p.stride_h) * ow + j / p.stride_w) * p.cout;
      for (int64_t o = 0; o < p.cout; ++o) sum += float(g[o]) * float(w[((o * p.kh + u) * p.kw + v) * p.cin + c]);
    }
  dx[id] = T(sum);
}

template <class T>
__global__ void backward_weights_naive(Conv2d p, const T* dy, const T* x, T* dw) {
  const int64_t id = int64_t{blockIdx.x} * blockDim.x + threadIdx.x, oh = p.out_h(), ow = p.out_w();
  if (id >= p.cout * p.kh * p.kw * p.cin) return;
  const int64_t c = id % p.cin, v = id / p.cin % p.kw, u = id / (p.cin * p.kw) % p.kh, o = id / (p.cin * p.kw * p.kh);
  float sum = 0;
  for (int64_t n = 0; n < p.n; ++n)
    for (int64_t i = 0; i < oh; ++i)
      for (int64_t j = 0; j < ow; ++j) {
        const int64_t a = i * p.stride_h + u - p.pad_h, b = j * p.stride_w + v - p.pad_w;
        if (a < 0 || a >= p.h || b < 0 || b >= p.w) continue;
        sum += float(dy[((n * oh + i) * ow + j) * p.cout + o]) * float(x[((n * p.h + a) * p.w + b) * p.cin + c]);
      }
  dw[id] = T(sum);
}

template <class T>
void run_forward_naive(Gpu gpu, const Conv2d& p, const T* x, const T* w, const T* bias, T* y) {
  launch<forward_naive<T>>(gpu, {cdiv(p.y_size(), 256), 256}, p, x, w, bias, y);
}
template <class T>
void run_backward_data_naive(Gpu gpu, const Conv2d& p, const T* dy, const T* w, T* dx) {
  launch<backward_data_naive<T>>(gpu, {cdiv(p.x_size(), 256), 256}, p, dy, w, dx);
}
template <class T>
void run_backward_weights_naive(Gpu gpu, const Conv2d& p, const T* dy, const T* x, T* dw) {
  launch<backward_weights_naive<T>>(gpu, {cdiv(p.w_size(), 256), 256}, p, dy, x, dw);
}

// ---- Rung 2, implicit GEMM: the product of patches, gathered as they are loaded, with the weights ----
//
// f32 by gemm_register.cuh, 16-bit by gemm_mma.cuh (tiles, registers and intensity are told there). Patches overlap: a
// 3×3 window reads each pixel nine times, from L1 and L2 after the first, so that global traffic stays near the
// contract's |x| + |w| + |y|.

template <class T>
void run_forward_gemm(Gpu gpu, const Conv2d& p, const T* x, const T* w, const T* bias, T* y) {
  if (p.y_size() == 0) return;
  gemm::run(gpu, "conv2d_forward", 1, p.n * p.out_h() * p.out_w(), p.cout, p.kh * p.kw * p.cin,
            gemm::patches_of_x(p, x, true), gemm::weights(p, w, true),
            gemm::Epilogue<T>{y, nullptr, bias, p.relu ? Activation::relu : Activation::none});
}
template <class T>
void run_backward_data_gemm(Gpu gpu, const Conv2d& p, const T* dy, const T* w, T* dx) {
  if (p.x_size() == 0) return;
  gemm::run(gpu, "conv2d_backward_data", 1, p.n * p.h * p.w, p.cin, p.kh * p.kw * p.cout, gemm::patches_of_dy(p, dy),
            gemm::weights(p, w, false), gemm::Epilogue<T>{dx, nullptr, nullptr, Activation::none});
}
// The sum over all pixels of the batch is cut into splits, whose sums are added in order.
template <class T>
void run_backward_weights_gemm(Gpu gpu, const Conv2d& p, const T* dy, const T* x, T* dw) {
  if (p.w_size() == 0) return;
  const int64_t pixels = p.n * p.out_h() * p.out_w();
  gemm::run(gpu, "conv2d_backward_weights", 1, p.cout, p.kh * p.kw * p.cin, pixels,
            gemm::Dense<T>(dy, p.cout, pixels, false, 0), gemm::patches_of_x(p, x, false),
            gemm::Epilogue<T>{dw, nullptr, nullptr, Activation::none});
}

}  // namespace

// Every convolution on a GPU starts here: cuDNN where it is wanted, there and able, else the rungs.
template <class B, class T>
void conv2d_forward(B gpu, Conv2d p, const T* x, const T* w, const T* bias, T* y) {
  if constexpr (std::is_same_v<B, Cuda> && cudnn::kBuilt)
    if (vendor_chosen("conv2d_forward") && cudnn::conv2d_forward(gpu, dtype_of<T>, p, x, w, bias, y)) return;
  constexpr decltype(&run_forward_naive<T>) rungs[] = {run_forward_naive<T>, run_forward_gemm<T>};
  rungs[conv2d_forward_rungs.pick("implicit_gemm")](gpu, p, x, w, bias, y);
}
template <class B, class T>
void conv2d_backward_data(B gpu, Conv2d p, const T* dy, const T* w, T* dx) {
  if constexpr (std::is_same_v<B, Cuda> && cudnn::kBuilt)
    if (vendor_chosen("conv2d_backward_data") && cudnn::conv2d_backward_data(gpu, dtype_of<T>, p, dy, w, dx)) return;
  constexpr decltype(&run_backward_data_naive<T>) rungs[] = {run_backward_data_naive<T>, run_backward_data_gemm<T>};
  rungs[conv2d_backward_data_rungs.pick("implicit_gemm")](gpu, p, dy, w, dx);
}
template <class B, class T>
void conv2d_backward_weights(B gpu, Conv2d p, const T* dy, const T* x, T* dw) {
  if constexpr (std::is_same_v<B, Cuda> && cudnn::kBuilt)
    if (vendor_chosen("conv2d_backward_weights") && cudnn::conv2d_backward_weights(gpu, dtype_of<T>, p, dy, x, dw))
      return;
  constexpr decltype(&run_backward_weights_naive<T>) rungs[] = {run_backward_weights_naive<T>,
                                                                run_backward_weights_gemm<T>};
  rungs[conv2d_backward_weights_rungs.pick("implicit_gemm")](gpu, p, dy, x, dw);
}

#define INSTANTIATE(T)                                                         \
  template void conv2d_forward(Gpu, Conv2d, const T*, const T*, const T*, T*); \
  template void conv2d_backward_data(Gpu, Conv2d, const T*, const T*, T*);     \
  template void conv2d_backward_weights(Gpu, Conv2d, const T*, const T*, T*);
INSTANTIATE(float)
INSTANTIATE(bf16)
INSTANTIATE(f16)
#undef INSTANTIATE

}  // namespace holt
