// The f32 product with outputs in registers.
//
// A block of 256 threads makes Tile×Tile outputs from slices of Depth = 1024/Tile of k, kept in shared memory as
// [k][row], twice: while one is used, the next is on its way through registers, so that one barrier a slice suffices. A
// thread owns (Tile/16)² outputs in pieces of 4×4, spaced 64 apart: its reads of a slice are 16-byte, and those of a
// warp hit every bank once.
//
// Tile 128: 8×8 outputs a thread; 16 floats from shared memory feed 64 FMAs, and 1 byte from L2 feeds 16 FMAs (32
// flops): 67 TFLOP/s of an H100 ask for 2.1 TB/s of L2, which has about 5.5. 33 KB shared memory, 118 to 126 registers
// (sm_80 to sm_120): two blocks of eight warps an SM, which the 64 independent FMAs of a thread keep busy.
// Tile 64: 4×4 outputs, 62 to 89 registers, 17 KB; for products with few rows or columns, where a larger tile would be
// mostly empty. 16 flops a byte: half as good.
// Sums run along k in order, by FMA.
#pragma once
#include "kernels/gemm.cuh"

namespace holt::gemm {

template <int Tile>
struct RegisterTile {
  static constexpr int depth = 1024 / Tile, pitch = Tile + 4, pieces = Tile / 64, slice = depth * pitch;
  static constexpr int shared = 4 * slice > 64 * pitch ? 4 * slice : 64 * pitch;  // two slices of each, or 64 rows of c
};

// The 16 bytes of a slice that this thread fetches, and where they go: as they lie if they run along the rows, turned
// if along k.
template <int Tile>
struct Piece {
  using R = RegisterTile<Tile>;
  int o, k;  // within the slice
  __device__ explicit Piece(bool k_contiguous)
      : o(k_contiguous ? threadIdx.x / (R::depth / 4) : threadIdx.x % (Tile / 4) * 4),
        k(k_contiguous ? threadIdx.x % (R::depth / 4) * 4 : threadIdx.x / (Tile / 4)) {}
  __device__ void put(float* slice, bool k_contiguous, const Vec<float>& v) const {
    float* const to = slice + k * R::pitch + o;
    if (!k_contiguous) return store16(to, v);
#pragma unroll
    for (int i = 0; i < 4; ++i) to[i * R::pitch] = v[i];
  }
};

// sum[i][j] += a[i]·b[j]
template <int P>
IN_REGISTERS void add_outer_product(float (&sum)[P * 4][P * 4], const Vec<float> (&a)[P], const Vec<float> (&b)[P]) {
#pragma unroll
  for (int i = 0; i < P * 4; ++i)
#pragma unroll
    for (int j = 0; j < P * 4; ++j) sum[i][j] += a[i / 4].v[i % 4] * b[j / 4].v[j % 4];
}

template <int Tile, class A, class B, class F>
__global__ void __launch_bounds__(256, 2) gemm_register(Schedule s, A all_a, B all_b, Epilogue<float, F> epilogue) {
  using R = RegisterTile<Tile>;
  constexpr int P = R::pieces;
  SHARED(alignas(16) float, shared, [R::shared]);
  const auto a_slice = [&](int i) { return shared + i * R::slice; };
  const auto b_slice = [&](int i) { return shared + (2 + i) * R::slice; };
  const Share share = share_of_block<Tile>(s);
  const Selected<A> a(all_a, share.batch);
  const Selected<B> b(all_b, share.batch);
  const int tx = threadIdx.x % 16 * 4, ty = threadIdx.x / 16 * 4;

  const Piece<Tile> a_piece(a.k_contiguous), b_piece(b.k_contiguous);
  float sum[P * 4][P * 4] = {};
  Vec<float> a_next = load_vector<float>(a, share.row + a_piece.o, share.k_begin + a_piece.k),
             b_next = load_vector<float>(b, share.col + b_piece.o, share.k_begin + b_piece.k);
  a_piece.put(a_slice(0), a.k_contiguous, a_next);
  b_piece.put(b_slice(0), b.k_contiguous, b_next);
  __syncthreads();
  int now = 0;
  for (int k = share.k_begin; k < share.k_end; k += R::depth) {
    const bool more = k + R::depth < share.k_end;
    if (more) {
      a_next = load_vector<float>(a, share.row + a_piece.o, k + R::depth + a_piece.k);
      b_next = load_vector<float>(b, share.col + b_piece.o, k + R::depth + b_piece.k);
    }
#pragma unroll 2  // more of them at a time would hold more fragments than there are registers
    for (int d = 0; d < R::depth; ++d) {
      Vec<float> av[P], bv[P];
#pragma unroll
      for (int i = 0; i < P; ++i) {
        av[i] = load16(a_slice(now) + d * R::pitch + ty + 64 * i);
        bv[i] = load16(b_slice(now) + d * R::pitch + tx + 64 * i);
      }
      add_outer_product(sum, av, bv);
    }
    if (more) {
      a_piece.put(a_slice(1 - now), a.k_contiguous, a_next);
      b_piece.put(b_slice(1 - now), b.k_contiguous, b_next);
    }
    __syncthreads();
    now = 1 - now;
  }

  // 64 rows at a time through shared memory, which the last barrier has freed.
#pragma unroll 1
  for (int half = 0; half < P; ++half) {
#pragma unroll
    for (int i = 0; i < 4; ++i)
#pragma unroll
      for (int j = 0; j < P; ++j) {
        Vec<float> four;
#pragma unroll
        for (int e = 0; e < 4; ++e) four[e] = half == 0 ? sum[i][4 * j + e] : sum[P * 4 - 4 + i][4 * j + e];
        store16(shared + (ty + i) * R::pitch + tx + 64 * j, four);
      }
    __syncthreads();
    write_staged<64, Tile>(s, share, epilogue, shared, R::pitch, share.row + 64 * half, share.col);
    __syncthreads();
  }
}

/// c ← a·b through the register kernel.
template <class F, class A, class B>
void run_register(Gpu gpu, const char* op, int64_t batch, int64_t m, int64_t n, int64_t k, const A& a, const B& b,
                  const Epilogue<float, F>& epilogue) {
  const int tile = tile_for(m, n);
  const Schedule s = schedule(op, batch, m, n, k, tile, 1024 / tile);
  with_splits(gpu, s, epilogue, [&](const Schedule& part) {
    const LaunchShape shape{dim3(part.blocks()), dim3(256)};
    if (tile == 128)
      launch<gemm_register<128, A, B, F>>(gpu, shape, part, a, b, epilogue);
    else
      launch<gemm_register<64, A, B, F>>(gpu, shape, part, a, b, epilogue);
  });
}

}  // namespace holt::gemm
