// Bound by arithmetic where channels are many: 2·N·OH·OW·Cout·KH·KW·Cin flops. A 3×3 convolution of 64 channels in
// ResNet-50's first stage at batch 64 is 14.8 GFLOP on 51 MB of bf16: 15 µs of an H100's tensor cores (989 TFLOP/s) and
// 15 µs of its memory (3.35 TB/s); 90 and 51 µs on an RTX 4090 (165 TFLOP/s, 1.01 TB/s). In f32: 221 µs (67 TFLOP/s)
// and 179 µs (82.6). Tiles, registers, shared memory and occupancy are the matrix product's (gemm_register.cuh,
// gemm_mma.cuh): 69 to 122 registers on sm_90 for f32, 106 to 128 for 16-bit types, so 25 to 50 % of an H100's threads.
// One block a tile, in an order that lets neighbours share operands in L2.
#include "kernels/conv2d.h"

#include <algorithm>

#include "kernels/chunks.cuh"
#include "kernels/conv2d_operands.cuh"
#include "kernels/cuda/cudnn.h"
#include "kernels/gemm_mma.cuh"
#include "kernels/gemm_register.cuh"
#include "kernels/gpu.cuh"

namespace holt {
namespace {

// ---- Rung 1, naive: one thread an output element, walking its window (or, for dw, all pixels) ----
//
// Neighbouring threads have neighbouring channels. Where a group has few, this is more than a rung to be read: an
// implicit product would fill a 64th of its tiles, while here a depthwise convolution reads whole sectors, and its
// windows overlap in L1.

template <class T>
__global__ void forward_naive(Conv2d p, const T* x, const T* w, const T* bias, T* y) {
  const int64_t id = int64_t{blockIdx.x} * blockDim.x + threadIdx.x, oh = p.out_h(), ow = p.out_w();
  if (id >= p.n * oh * ow * p.cout) return;
  const int64_t o = id % p.cout, j = id / p.cout % ow, i = id / (p.cout * ow) % oh, n = id / (p.cout * ow * oh);
  const int64_t in = p.group_in(), first = o / p.group_out() * in;
  float sum = bias ? float(bias[o]) : 0;
  for (int64_t u = 0; u < p.kh; ++u)
    for (int64_t v = 0; v < p.kw; ++v) {
      const int64_t a = i * p.stride_h + u * p.dilation_h - p.pad_h, b = j * p.stride_w + v * p.dilation_w - p.pad_w;
      if (a < 0 || a >= p.h || b < 0 || b >= p.w) continue;
      const T *pixel = x + ((n * p.h + a) * p.w + b) * p.cin + first, *weight = w + ((o * p.kh + u) * p.kw + v) * in;
      for (int64_t c = 0; c < in; ++c) sum += float(pixel[c]) * float(weight[c]);
    }
  y[id] = T(p.relu ? (sum < 0 ? 0.0f : sum) : sum);
}

template <class T>
__global__ void backward_data_naive(Conv2d p, const T* dy, const T* w, T* dx) {
  const int64_t id = int64_t{blockIdx.x} * blockDim.x + threadIdx.x, oh = p.out_h(), ow = p.out_w();
  if (id >= p.n * p.h * p.w * p.cin) return;
  const int64_t c = id % p.cin, b = id / p.cin % p.w, a = id / (p.cin * p.w) % p.h, n = id / (p.cin * p.w * p.h);
  const int64_t in = p.group_in(), out = p.group_out(), first = c / in * out, step = p.kh * p.kw * in;
  float sum = 0;
  for (int64_t u = 0; u < p.kh; ++u)
    for (int64_t v = 0; v < p.kw; ++v) {
      const int64_t i = a + p.pad_h - u * p.dilation_h, j = b + p.pad_w - v * p.dilation_w;  // times the strides
      if (i < 0 || j < 0 || i % p.stride_h || j % p.stride_w || i / p.stride_h >= oh || j / p.stride_w >= ow) continue;
      const T *g = dy + ((n * oh + i / p.stride_h) * ow + j / p.stride_w) * p.cout + first,
              *weight = w + ((first * p.kh + u) * p.kw + v) * in + c % in;
#pragma unroll 1
      for (int64_t o = 0; o < out; ++o, weight += step) sum += float(g[o]) * float(*weight);
    }
  dx[id] = T(sum);
}

template <class T>
__global__ void backward_weights_naive(Conv2d p, const T* dy, const T* x, T* dw) {
  const int64_t id = int64_t{blockIdx.x} * blockDim.x + threadIdx.x, oh = p.out_h(), ow = p.out_w(), in = p.group_in();
  if (id >= p.cout * p.kh * p.kw * in) return;
  const int64_t v = id / in % p.kw, u = id / (in * p.kw) % p.kh, o = id / (in * p.kw * p.kh);
  const int64_t c = o / p.group_out() * in + id % in;
  float sum = 0;
  for (int64_t n = 0; n < p.n; ++n)
    for (int64_t i = 0; i < oh; ++i)
      for (int64_t j = 0; j < ow; ++j) {
        const int64_t a = i * p.stride_h + u * p.dilation_h - p.pad_h, b = j * p.stride_w + v * p.dilation_w - p.pad_w;
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

// ---- Rung 2 of dw, chunks: a thread a weight and chunk of pixels, neighbouring threads on neighbouring channels ----
//
// What few channels a group need: a depthwise dw has nine outputs a channel, which naive sums by as few threads. The
// pixels are cut into chunks, by the shape alone, so that 2^18 threads are busy; their sums, at most 1 MB or the
// weights over, are added in order. dy and x are read once for each of the window's taps, from L1 and L2 after the
// first.

template <class T>
__global__ void backward_weights_chunks(Conv2d p, int64_t chunk_pixels, const T* dy, const T* x, float* partial) {
  const int64_t in = p.group_in(), weights = p.cout * p.kh * p.kw * in, oh = p.out_h(), ow = p.out_w();
  const int64_t blocks = cdiv(weights, 256), chunk = blockIdx.x / blocks;
  const int64_t id = blockIdx.x % blocks * 256 + threadIdx.x;
  if (id >= weights) return;
  const int64_t o = id % p.cout, tap = id / p.cout, c = tap % in, v = tap / in % p.kw, u = tap / (in * p.kw);
  const int64_t channel = o / p.group_out() * in + c, pixels = p.n * oh * ow;
  const int64_t first = chunk * chunk_pixels, last = first + chunk_pixels < pixels ? first + chunk_pixels : pixels;
  int64_t j = first % ow, i = first / ow % oh, n = first / (ow * oh);
  float sum = 0;
#pragma unroll 1
  for (int64_t pixel = first; pixel < last; ++pixel) {
    const int64_t a = i * p.stride_h + u * p.dilation_h - p.pad_h, b = j * p.stride_w + v * p.dilation_w - p.pad_w;
    if (a >= 0 && a < p.h && b >= 0 && b < p.w)
      sum += float(dy[pixel * p.cout + o]) * float(x[((n * p.h + a) * p.w + b) * p.cin + channel]);
    if (++j == ow) {
      j = 0;
      if (++i == oh) i = 0, ++n;
    }
  }
  partial[chunk * weights + ((o * p.kh + u) * p.kw + v) * in + c] = sum;
}

template <class T>
void run_backward_weights_chunks(Gpu gpu, const Conv2d& p, const T* dy, const T* x, T* dw) {
  const int64_t weights = p.w_size(), pixels = p.n * p.out_h() * p.out_w();
  if (weights == 0) return;
  const int64_t wanted = std::clamp<int64_t>(cdiv(int64_t{1} << 18, weights), 1, std::max<int64_t>(pixels / 64, 1));
  const int64_t chunk_pixels = std::max<int64_t>(cdiv(pixels, wanted), 1), chunks = cdiv(pixels, chunk_pixels);
  const Workspace partial(gpu, chunks * weights * sizeof(float));
  launch<backward_weights_chunks<T>>(gpu, {chunks * cdiv(weights, 256), 256}, p, chunk_pixels, dy, x,
                                     partial.as<float>());
  launch<add_chunks<T>>(gpu, {cdiv(weights, 256), 256}, weights, chunks, partial.as<float>(), dw);
}

// ---- Rung 2, implicit GEMM (of dw, 3): the product of patches, gathered as they are loaded, with the weights ----
//
// f32 by gemm_register.cuh, 16-bit by gemm_mma.cuh (tiles, registers and intensity are told there). Patches overlap: a
// 3×3 window reads each pixel nine times, from L1 and L2 after the first, so that global traffic stays near the
// contract's |x| + |w| + |y|.

// The groups are a batch of products.

struct MaybeRelu {
  bool relu;
  __device__ float operator()(float x) const { return relu && x < 0 ? 0.0f : x; }  // a NaN stays one
};

template <class T>
void run_forward_gemm(Gpu gpu, const Conv2d& p, const T* x, const T* w, const T* bias, T* y) {
  if (p.y_size() == 0) return;
  const int64_t out = p.group_out();
  gemm::run(gpu, "conv2d_forward", p.groups, p.n * p.out_h() * p.out_w(), out, p.kh * p.kw * p.group_in(),
            gemm::patches_of_x(p, x, true), gemm::weights(p, w, true),
            gemm::Epilogue<T, MaybeRelu>{y, nullptr, bias, {p.relu}, out, p.cout, static_cast<int>(out)});
}
template <class T>
void run_backward_data_gemm(Gpu gpu, const Conv2d& p, const T* dy, const T* w, T* dx) {
  if (p.x_size() == 0) return;
  gemm::run(gpu, "conv2d_backward_data", p.groups, p.n * p.h * p.w, p.group_in(), p.kh * p.kw * p.group_out(),
            gemm::patches_of_dy(p, dy), gemm::weights(p, w, false),
            gemm::Epilogue<T, MaybeRelu>{dx, nullptr, nullptr, {false}, p.group_in(), p.cin});
}
// The sum over all pixels of the batch is cut into splits, whose sums are added in order.
template <class T>
void run_backward_weights_gemm(Gpu gpu, const Conv2d& p, const T* dy, const T* x, T* dw) {
  if (p.w_size() == 0) return;
  const int64_t pixels = p.n * p.out_h() * p.out_w(), out = p.group_out(), taps = p.kh * p.kw * p.group_in();
  gemm::run(gpu, "conv2d_backward_weights", p.groups, out, taps, pixels, gemm::Dense<T>(dy, out, pixels, p.cout, out),
            gemm::patches_of_x(p, x, false),
            gemm::Epilogue<T, MaybeRelu>{dw, nullptr, nullptr, {false}, out * taps, taps});
}

// Groups of so few channels leave nearly all of a product's tile empty.
bool few_channels(const Conv2d& p) { return p.groups > 1 && std::min(p.group_in(), p.group_out()) < 8; }

}  // namespace

// Every convolution on a GPU starts here: cuDNN where it is wanted, there and able, else the rungs.
template <class B, class T>
void conv2d_forward(B gpu, Conv2d p, const T* x, const T* w, const T* bias, T* y) {
  if constexpr (std::is_same_v<B, Cuda> && cudnn::kBuilt)
    if (vendor_chosen("conv2d_forward") && cudnn::conv2d_forward(gpu, dtype_of<T>, p, x, w, bias, y)) return;
  constexpr decltype(&run_forward_naive<T>) rungs[] = {run_forward_naive<T>, run_forward_gemm<T>};
  rungs[conv2d_forward_rungs.pick(few_channels(p) ? "naive" : "implicit_gemm")](gpu, p, x, w, bias, y);
}
template <class B, class T>
void conv2d_backward_data(B gpu, Conv2d p, const T* dy, const T* w, T* dx) {
  if constexpr (std::is_same_v<B, Cuda> && cudnn::kBuilt)
    if (vendor_chosen("conv2d_backward_data") && cudnn::conv2d_backward_data(gpu, dtype_of<T>, p, dy, w, dx)) return;
  constexpr decltype(&run_backward_data_naive<T>) rungs[] = {run_backward_data_naive<T>, run_backward_data_gemm<T>};
  rungs[conv2d_backward_data_rungs.pick(few_channels(p) ? "naive" : "implicit_gemm")](gpu, p, dy, w, dx);
}
template <class B, class T>
void conv2d_backward_weights(B gpu, Conv2d p, const T* dy, const T* x, T* dw) {
  if constexpr (std::is_same_v<B, Cuda> && cudnn::kBuilt)
    if (vendor_chosen("conv2d_backward_weights") && cudnn::conv2d_backward_weights(gpu, dtype_of<T>, p, dy, x, dw))
      return;
  constexpr decltype(&run_backward_weights_naive<T>) rungs[] = {
      run_backward_weights_naive<T>, run_backward_weights_chunks<T>, run_backward_weights_gemm<T>};
  rungs[conv2d_backward_weights_rungs.pick(few_channels(p) ? "chunks" : "implicit_gemm")](gpu, p, dy, x, dw);
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
