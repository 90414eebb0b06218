// The flash kernels' engine for f32: FMAs on registers (tensor cores would round f32 to TF32). 8×16 threads; a thread
// owns rows/8 rows of scores by 2 columns, 16 apart, and the same rows of the sums by D/16 columns. A warp owns rows/4
// rows: scores that a row's other threads need for the second product cross over shared memory within the warp.
//
// Four steps along D of a score tile read R + 2 vectors for 8·R FMAs (R rows a thread); one step along the keys of the
// second product R/4 vectors and D/16 numbers for R·D/16 FMAs: shared memory is busy for half of the FMAs' time.
#pragma once
#include "kernels/attention_tiles.cuh"

namespace holt::flash {

template <int HeadSize>
struct RegisterEngine {
  using T = float;
  static constexpr int head_size = HeadSize, threads = 128, rows = HeadSize <= 64 ? 64 : 32, cols = 32, stages = 1;
  static constexpr int pitch = head_size + 4, score_pitch = cols + 4, scratch = rows * score_pitch;
  static constexpr int thread_rows = rows / 8;

  template <int Cols>
  struct Share {
    static constexpr int cols = Cols;
    float v[thread_rows][Cols];
    __device__ float& at(int i, int j) { return v[i][j]; }
    __device__ float at(int i, int j) const { return v[i][j]; }
  };
  using Scores = Share<cols / 16>;
  using Sums = Share<HeadSize / 16>;

  __device__ static int row(int i) { return threadIdx.x / 16 * thread_rows + i; }
  __device__ static int col(int j) { return threadIdx.x % 16 + 16 * j; }

  template <class Op>
  __device__ static float across(float x, Op op) {
#pragma unroll
    for (int offset = 8; offset > 0; offset /= 2) x = op(x, __shfl_xor_sync(kFullWarp, x, offset));
    return x;
  }

  __device__ static void score(Scores& s, const float* own, const float* other) {
#pragma unroll
    for (int i = 0; i < thread_rows; ++i)
#pragma unroll
      for (int j = 0; j < Scores::cols; ++j) s.v[i][j] = 0;
#pragma unroll 2
    for (int d = 0; d < HeadSize; d += 4) {
      Vec<float> b[Scores::cols];
#pragma unroll
      for (int j = 0; j < Scores::cols; ++j) b[j] = load16(other + col(j) * pitch + d);
#pragma unroll
      for (int i = 0; i < thread_rows; ++i) {
        const Vec<float> a = load16(own + row(i) * pitch + d);
#pragma unroll
        for (int j = 0; j < Scores::cols; ++j)
#pragma unroll
          for (int e = 0; e < 4; ++e) s.v[i][j] += a[e] * b[j][e];
      }
    }
  }

  __device__ static void accumulate(Sums& sums, const Scores& s, const float* other, float* scratch) {
    __syncwarp();  // all lanes are done with what was there
#pragma unroll
    for (int i = 0; i < thread_rows; ++i)
#pragma unroll
      for (int j = 0; j < Scores::cols; ++j) scratch[row(i) * score_pitch + col(j)] = s.v[i][j];
    __syncwarp();
#pragma unroll 1
    for (int k = 0; k < cols; k += 4) {
      Vec<float> p[thread_rows];
#pragma unroll
      for (int i = 0; i < thread_rows; ++i) p[i] = load16(scratch + row(i) * score_pitch + k);
#pragma unroll
      for (int e = 0; e < 4; ++e)
#pragma unroll
        for (int j = 0; j < Sums::cols; ++j) {
          const float x = other[(k + e) * pitch + col(j)];
#pragma unroll
          for (int i = 0; i < thread_rows; ++i) sums.v[i][j] += p[i][e] * x;
        }
    }
  }

  template <class Factor>
  __device__ static void stage(const Sums& sums, Factor&& factor, float* tile) {
    __syncwarp();  // all lanes are done with the tile
#pragma unroll
    for (int i = 0; i < thread_rows; ++i) {
      const float f = factor(i);
#pragma unroll
      for (int j = 0; j < Sums::cols; ++j) tile[row(i) * pitch + col(j)] = sums.v[i][j] * f;
    }
  }
};

}  // namespace holt::flash
