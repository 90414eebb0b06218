// Memory-bound once eight images share the geometry: 2·N·H·W·C·sizeof(T) bytes forward, 3 backward, for 8 and 20 flops
// an element. [64, 224, 224, 3] f32 is 77 MB: at least 23 µs on an H100 (3.35 TB/s), 76 µs on an RTX 4090 (1.01 TB/s);
// backward 35 and 115. Neighbours sample neighbours, so the four taps of a pixel come mostly from L1. 256 threads on
// neighbouring elements; 32 registers on sm_90 forward (all threads resident); backward 42 for dx (62 %) and 54 for
// dtheta (50 %), whose block sums need 128 bytes of shared memory.
#include "kernels/projective_sample.h"

#include "kernels/gpu.cuh"

namespace holt {
namespace {

constexpr int kThreads = 256;
constexpr int kImages = 8;  // images that share a thread's geometry
constexpr int kTile = 8;    // output pixels on a side of a tile

using Tap = ProjectiveTap<float>;

// Row, column and channel of element e of an image.
struct Place {
  int row, column, channel;
  __device__ Place(const ProjectiveSample& p, unsigned e)
      : row(e / p.channels / p.width), column(e / p.channels % p.width), channel(e % p.channels) {}
};

template <class T>
__device__ float sample(const ProjectiveSample& p, const Tap& tap, const T* image, int channel) {
  float sum = 0;
  for (int k = 0; k < 4; ++k) {
    const int64_t pixel = tap.pixel(p, k);
    const float w = tap.weight(k);
    if (pixel >= 0 && w != 0) sum += w * float(image[pixel * p.channels + channel]);
  }
  return sum;
}

// A block's share of `count` elements of an image, and of kImages images.
struct Piece {
  unsigned element;
  int64_t first, last;  // images
  __device__ explicit Piece(const ProjectiveSample& p) {
    const unsigned pieces = cdiv(static_cast<unsigned>(p.elements()), blockDim.x);
    element = blockIdx.x % pieces * blockDim.x + threadIdx.x;
    first = int64_t{blockIdx.x / pieces} * kImages;
    last = first + kImages < p.images ? first + kImages : p.images;
  }
};
inline int64_t pieces(const ProjectiveSample& p) { return cdiv(p.elements(), kThreads) * cdiv(p.images, kImages); }

// ---- Forward ----

// Rung 1, naive: one thread an element.
template <class T>
__global__ void forward_naive(ProjectiveSample p, const T* x, const float* theta, T* y) {
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i >= p.images * p.elements()) return;
  const Place at(p, static_cast<unsigned>(i % p.elements()));
  y[i] = T(sample(p, projective_tap(p, theta, at.row, at.column), x + i / p.elements() * p.elements(), at.channel));
}

// Rung 2, images: a thread takes the same element of eight images, so that the geometry and its divisions are paid
// once; neighbours still read neighbours.
template <class T>
__global__ void forward_images(ProjectiveSample p, const T* x, const float* theta, T* y) {
  const Piece piece(p);
  if (piece.element >= p.elements()) return;
  const Place at(p, piece.element);
  const Tap tap = projective_tap(p, theta, at.row, at.column);
  for (int64_t n = piece.first; n < piece.last; ++n)
    y[n * p.elements() + piece.element] = T(sample(p, tap, x + n * p.elements(), at.channel));
}

template <class T>
void run_naive(Gpu gpu, ProjectiveSample p, const T* x, const float* theta, T* y) {
  launch<forward_naive<T>>(gpu, {cdiv(p.images * p.elements(), kThreads), kThreads}, p, x, theta, y);
}

template <class T>
void run_images(Gpu gpu, ProjectiveSample p, const T* x, const float* theta, T* y) {
  launch<forward_images<T>>(gpu, {pieces(p), kThreads}, p, x, theta, y);
}

// ---- Backward ----

// What an output pixel adds to the dx of (row, column): its weight there, or 0.
__device__ inline float weight_at(int tap_row, int tap_column, float down, float right, int row, int column) {
  const unsigned below = row - tap_row, beside = column - tap_column;
  if (below > 1 || beside > 1) return 0;
  return (below ? down : 1 - down) * (beside ? right : 1 - right);
}

// Rung 1, naive: one thread an element of dx, which asks every output pixel whether it was sampled there …
template <class T>
__global__ void backward_x_naive(ProjectiveSample p, const T* dy, const float* theta, T* dx) {
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i >= p.images * p.elements()) return;
  const Place at(p, static_cast<unsigned>(i % p.elements()));
  const T* image = dy + i / p.elements() * p.elements();
  float sum = 0;
  for (int row = 0; row < p.height; ++row)
    for (int column = 0; column < p.width; ++column) {
      const Tap tap = projective_tap(p, theta, row, column);
      const float w = weight_at(tap.row, tap.column, tap.down, tap.right, at.row, at.column);
      if (w != 0) sum += w * float(image[(int64_t{row} * p.width + column) * p.channels + at.channel]);
    }
  dx[i] = T(sum);
}

// Adds what element (pixel of tap, channel) of the images [first, last) contributes to dtheta.
template <class T>
__device__ void add_element(const ProjectiveSample& p, const Tap& tap, unsigned element, int channel, int64_t first,
                            int64_t last, const T* dy, const T* x, float (&dtheta)[8]) {
  if (tap.row == -2) return;
  float d_right = 0, d_down = 0;
  for (int k = 0; k < 4; ++k) {
    const int64_t pixel = tap.pixel(p, k);
    if (pixel < 0) continue;
    float sum = 0;
#pragma unroll 2  // more in flight costs more than 64 registers
    for (int64_t n = first; n < last; ++n)
      sum += float(dy[n * p.elements() + element]) * float(x[n * p.elements() + pixel * p.channels + channel]);
    d_right += tap.slope_right(k) * sum;
    d_down += tap.slope_down(k) * sum;
  }
  tap.add_to(p, d_right, d_down, dtheta);
}

// … and one block for all of dtheta.
template <class T>
__global__ void backward_theta_naive(ProjectiveSample p, const T* dy, const T* x, const float* theta, float* dtheta) {
  float sums[8] = {};
  for (int64_t i = threadIdx.x; i < p.images * p.elements(); i += blockDim.x) {
    const auto element = static_cast<unsigned>(i % p.elements());
    const int64_t n = i / p.elements();
    const Place at(p, element);
    add_element(p, projective_tap(p, theta, at.row, at.column), element, at.channel, n, n + 1, dy, x, sums);
  }
  for (int k = 0; k < 8; ++k) {
    const float sum = block_sum(sums[k]);
    if (threadIdx.x == 0) dtheta[k] = sum;
  }
}

// Rung 2, tiles. dx: which outputs sample a pixel is the same for all images and channels, so it is found through a
// table. The first kernel, a block a tile of 8×8 output pixels, stores the pixels' taps and the box of pixels that the
// tile samples; the second walks the tiles whose box holds its pixel, in order. Unlike the inverse of the transform the
// boxes are exact: nothing is lost to rounding, to a singular theta or behind the horizon; the worst that a strange
// theta can do is to make boxes large.
struct Box {
  int top, bottom, left, right;  // of touched pixels, inclusive; empty if top > bottom
};
struct StoredTap {
  int row, column;
  float down, right;
};
constexpr int kFar = 1 << 30;

__global__ void taps_of_tiles(ProjectiveSample p, const float* theta, StoredTap* taps, Box* boxes) {
  const int tiles_across = cdiv(p.width, kTile);
  const int row = static_cast<int>(blockIdx.x) / tiles_across * kTile + static_cast<int>(threadIdx.x) / kTile;
  const int column = static_cast<int>(blockIdx.x) % tiles_across * kTile + static_cast<int>(threadIdx.x) % kTile;
  Box box{kFar, -kFar, kFar, -kFar};
  if (row < p.height && column < p.width) {
    const Tap tap = projective_tap(p, theta, row, column);
    taps[int64_t{row} * p.width + column] = {tap.row, tap.column, tap.down, tap.right};
    if (tap.row != -2) box = {tap.row, tap.row + 1, tap.column, tap.column + 1};
  }
  box.top = -block_reduce(-box.top, Max{}, -kFar);
  box.bottom = block_reduce(box.bottom, Max{}, -kFar);
  box.left = -block_reduce(-box.left, Max{}, -kFar);
  box.right = block_reduce(box.right, Max{}, -kFar);
  if (threadIdx.x == 0) boxes[blockIdx.x] = box;
}

template <class T>
__global__ void backward_x_tiles(ProjectiveSample p, const T* dy, const StoredTap* taps, const Box* boxes, T* dx) {
  const Piece piece(p);
  if (piece.element >= p.elements()) return;
  const Place at(p, piece.element);
  const int tiles_across = cdiv(p.width, kTile), tiles = tiles_across * cdiv(p.height, kTile);
  const int count = static_cast<int>(piece.last - piece.first);
  float sums[kImages] = {};
  for (int tile = 0; tile < tiles; ++tile) {
    const Box box = boxes[tile];
    if (at.row < box.top || at.row > box.bottom || at.column < box.left || at.column > box.right) continue;
    const int top = tile / tiles_across * kTile, left = tile % tiles_across * kTile;
    const int bottom = top + kTile < p.height ? top + kTile : p.height;
    const int right = left + kTile < p.width ? left + kTile : p.width;
    for (int row = top; row < bottom; ++row)
      for (int column = left; column < right; ++column) {
        const int64_t pixel = int64_t{row} * p.width + column;
        const StoredTap tap = taps[pixel];
        const float w = weight_at(tap.row, tap.column, tap.down, tap.right, at.row, at.column);
        if (w == 0) continue;
        const T* from = dy + piece.first * p.elements() + pixel * p.channels + at.channel;
#pragma unroll
        for (int n = 0; n < kImages; ++n)
          if (n < count) sums[n] += w * float(from[n * p.elements()]);
      }
  }
#pragma unroll
  for (int n = 0; n < kImages; ++n)
    if (n < count) dx[(piece.first + n) * p.elements() + piece.element] = T(sums[n]);
}

// dtheta: a block sums a piece of eight images; a second kernel adds the pieces, in order, a block a parameter.
template <class T>
__global__ void backward_theta_partial(ProjectiveSample p, const T* dy, const T* x, const float* theta,
                                       float* partial) {
  const Piece piece(p);
  float sums[8] = {};
  if (piece.element < p.elements()) {  // all stay for the block's sums
    const Place at(p, piece.element);
    add_element(p, projective_tap(p, theta, at.row, at.column), piece.element, at.channel, piece.first, piece.last, dy,
                x, sums);
  }
  for (int k = 0; k < 8; ++k) {
    const float sum = block_sum(sums[k]);
    if (threadIdx.x == 0) partial[int64_t{blockIdx.x} * 8 + k] = sum;
  }
}

__global__ void backward_theta_total(int64_t parts, const float* partial, float* dtheta) {
  float sum = 0;
  for (int64_t i = threadIdx.x; i < parts; i += blockDim.x) sum += partial[i * 8 + blockIdx.x];
  sum = block_sum(sum);
  if (threadIdx.x == 0) dtheta[blockIdx.x] = sum;
}

template <class T>
void run_backward_naive(Gpu gpu, ProjectiveSample p, const T* dy, const T* x, const float* theta, T* dx,
                        float* dtheta) {
  if (dx) launch<backward_x_naive<T>>(gpu, {cdiv(p.images * p.elements(), kThreads), kThreads}, p, dy, theta, dx);
  if (dtheta) launch<backward_theta_naive<T>>(gpu, {1, kThreads}, p, dy, x, theta, dtheta);
}

template <class T>
void run_backward_tiles(Gpu gpu, ProjectiveSample p, const T* dy, const T* x, const float* theta, T* dx,
                        float* dtheta) {
  if (dx) {
    const int64_t tiles = int64_t{cdiv(p.height, kTile)} * cdiv(p.width, kTile);
    const Workspace taps(gpu, p.pixels() * sizeof(StoredTap)), boxes(gpu, tiles * sizeof(Box));
    launch<taps_of_tiles>(gpu, {tiles, kTile * kTile}, p, theta, taps.as<StoredTap>(), boxes.as<Box>());
    launch<backward_x_tiles<T>>(gpu, {pieces(p), kThreads}, p, dy, taps.as<StoredTap>(), boxes.as<Box>(), dx);
  }
  if (dtheta) {
    const Workspace partial(gpu, pieces(p) * 8 * sizeof(float));
    launch<backward_theta_partial<T>>(gpu, {pieces(p), kThreads}, p, dy, x, theta, partial.as<float>());
    launch<backward_theta_total>(gpu, {8, kThreads}, pieces(p), partial.as<float>(), dtheta);
  }
}

}  // namespace

template <class B, class T>
void projective_sample_forward(B gpu, ProjectiveSample p, const T* x, const acc_t<T>* theta, T* y) {
  constexpr decltype(&run_naive<T>) rungs[] = {run_naive<T>, run_images<T>};
  rungs[projective_sample_forward_rungs.pick("images")](gpu, p, x, theta, y);
}

template <class B, class T>
void projective_sample_backward(B gpu, ProjectiveSample p, const T* dy, const T* x, const acc_t<T>* theta, T* dx,
                                acc_t<T>* dtheta) {
  constexpr decltype(&run_backward_naive<T>) rungs[] = {run_backward_naive<T>, run_backward_tiles<T>};
  rungs[projective_sample_backward_rungs.pick("tiles")](gpu, p, dy, x, theta, dx, dtheta);
}

#define INSTANTIATE(T)                                                                        \
  template void projective_sample_forward(Gpu, ProjectiveSample, const T*, const float*, T*); \
  template void projective_sample_backward(Gpu, ProjectiveSample, const T*, const T*, const float*, T*, float*);
INSTANTIATE(float)
INSTANTIATE(bf16)
INSTANTIATE(f16)
#undef INSTANTIATE

}  // namespace holt
