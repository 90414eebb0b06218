// The flash kernels' engine for 16-bit types: mma.m16n8k16 with float sums. A warp owns 16 rows. A fragment of scores
// holds just what the next product's left operand wants of a lane, so p goes from one product to the next by rounding
// to T and never leaves the registers.
#pragma once
#include "kernels/attention_tiles.cuh"

namespace holt::flash {

/// Two floats rounded to T in one register, `low` in the lower half.
template <class T>
__device__ uint32_t pack2(float low, float high) {
#if defined(__CUDA_ARCH__)
  uint32_t r;
  if constexpr (std::is_same_v<T, bf16>)
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(high), "f"(low));
  else
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(high), "f"(low));
  return r;
#else
  return uint32_t{T(low).bits} | uint32_t{T(high).bits} << 16;
#endif
}

template <class T>
__device__ void multiply(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  if constexpr (std::is_same_v<T, bf16>)
    mma_bf16_16x8x16(d, a, {b0, b1});
  else
    mma_f16_16x8x16(d, a, {b0, b1});
}

template <class T_, int HeadSize, int Cols>
struct MmaEngine {
  using T = T_;
  static constexpr int head_size = HeadSize, threads = 128, rows = 64, cols = Cols, stages = 2;
  static constexpr int pitch = head_size + 8, scratch = 0;
  static constexpr int thread_rows = 2;

  /// Tiles of 16×8 as mma leaves them: a lane has two neighbours in each of two rows.
  template <int Tiles>
  struct Fragment {
    static constexpr int cols = 2 * Tiles;
    float v[Tiles][4];
    __device__ float& at(int i, int j) { return v[j / 2][2 * i + j % 2]; }
    __device__ float at(int i, int j) const { return v[j / 2][2 * i + j % 2]; }
  };
  using Scores = Fragment<Cols / 8>;
  using Sums = Fragment<HeadSize / 8>;

  __device__ static int row(int i) { return threadIdx.x / 32 * 16 + threadIdx.x % 32 / 4 + 8 * i; }
  __device__ static int col(int j) { return j / 2 * 8 + threadIdx.x % 4 * 2 + j % 2; }

  template <class Op>
  __device__ static float across(float x, Op op) {
    x = op(x, __shfl_xor_sync(kFullWarp, x, 1));
    return op(x, __shfl_xor_sync(kFullWarp, x, 2));
  }

  __device__ static void score(Scores& s, const T* own, const T* other) {
    const int lane = threadIdx.x % 32, inner = lane % 8, first = lane / 8 % 2 * 8, second = lane / 16 * 8;
#pragma unroll
    for (int j = 0; j < Cols / 8; ++j)
#pragma unroll
      for (int e = 0; e < 4; ++e) s.v[j][e] = 0;
#pragma unroll
    for (int k = 0; k < HeadSize; k += 16) {
      uint32_t a[4];
      ldmatrix_x4(a, own + (threadIdx.x / 32 * 16 + first + inner) * pitch + k + second);
#pragma unroll
      for (int j = 0; j < Cols / 16; ++j) {
        uint32_t b[4];
        ldmatrix_x4(b, other + (16 * j + second + inner) * pitch + k + first);
        multiply<T>(s.v[2 * j], a, b[0], b[1]);
        multiply<T>(s.v[2 * j + 1], a, b[2], b[3]);
      }
    }
  }

  __device__ static void accumulate(Sums& sums, const Scores& s, const T* other, float*) {
    const int lane = threadIdx.x % 32, inner = lane % 8, first = lane / 8 % 2 * 8, second = lane / 16 * 8;
#pragma unroll
    for (int k = 0; k < Cols / 16; ++k) {
      const float(&x)[4] = s.v[2 * k], (&y)[4] = s.v[2 * k + 1];
      const uint32_t a[4] = {pack2<T>(x[0], x[1]), pack2<T>(x[2], x[3]), pack2<T>(y[0], y[1]), pack2<T>(y[2], y[3])};
#pragma unroll
      for (int j = 0; j < HeadSize / 16; ++j) {
        uint32_t b[4];
        ldmatrix_x4_trans(b, other + (16 * k + first + inner) * pitch + 16 * j + second);
        multiply<T>(sums.v[2 * j], a, b[0], b[1]);
        multiply<T>(sums.v[2 * j + 1], a, b[2], b[3]);
      }
    }
  }

  template <class Factor>
  __device__ static void stage(const Sums& sums, Factor&& factor, T* tile) {
    __syncwarp();  // all lanes are done with the tile
#pragma unroll
    for (int i = 0; i < thread_rows; ++i) {
      const float f = factor(i);
#pragma unroll
      for (int j = 0; j < Sums::cols; j += 2)
        *reinterpret_cast<uint32_t*>(tile + row(i) * pitch + col(j)) =
            pack2<T>(sums.at(i, j) * f, sums.at(i, j + 1) * f);
    }
  }
};

}  // namespace holt::flash
