// The 16-bit product on tensor cores: mma.m16n8k16, bf16 or f16 in, float sums.
//
// A block makes Tile×Tile outputs; each of its warps makes Tile/2 × 32 of them. Slices of 32 of k lie in shared memory
// three deep: while one is multiplied, two are on their way by cp.async, which needs no registers. A slice is kept in
// the operand's own order, [row][k] or [k][row], and ldmatrix (or its transposing twin) turns either into the tensor
// cores' lane layout; rows are 16 bytes longer than they need be, so that the eight rows that ldmatrix reads at a time
// lie in different banks. Operands that are ragged or misaligned go element by element through registers instead of
// cp.async, into the same places, four elements at a time.
//
// Tile 128, 8 warps: a slice's 32 mma a warp use 12 ldmatrix_x4; 1 byte from L2 feeds 64 flops: 312 TFLOP/s of an A100
// ask for 4.9 TB/s, about what its L2 gives; an H100's 989 need wgmma and TMA, which are the vendor's library's field.
// 60 KB shared memory, 128 registers (their limit; nothing spills): two blocks an SM where it has 164 KB or more, one
// on the 100 KB of sm_86, sm_89 and sm_120. Tile 64, 4 warps, 94 to 128 registers, 30 KB: for products with few rows or
// columns.
#pragma once
#include "kernels/gemm.cuh"

namespace holt::gemm {

template <int Tile>
struct MmaTile {
  static constexpr int depth = 32, stages = 3, threads = 2 * Tile;
  static constexpr int pitch_k = depth + 8, pitch_o = Tile + 8;  // of [row][k] and [k][row], in elements
  static constexpr int slice = Tile * pitch_k > depth* pitch_o ? Tile* pitch_k : depth* pitch_o;
  static constexpr int shared_bytes = 2 * stages * slice * 2;
  static constexpr int warp_rows = Tile / 2, warp_cols = 32;
};

template <class T>
__device__ void multiply(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  if constexpr (std::is_same_v<T, bf16>)
    mma_bf16_16x8x16(d, a, b);
  else
    mma_f16_16x8x16(d, a, b);
}

// Starts the copies of one slice of an operand: Tile·32 elements, two 16-byte pieces a thread. Shared memory is written
// a quarter of a warp at a time: two rows of [row][k], which are taken four apart, because rows of 80 bytes that follow
// one another share banks (six wavefronts a request in place of four).
template <int Tile, class T, class Operand>
__device__ void fetch_slice(T* slice, const Operand& x, int o, int k) {
  using M = MmaTile<Tile>;
#pragma unroll
  for (int i = 0; i < Tile * M::depth / 8 / M::threads; ++i) {
    const int piece = threadIdx.x + i * M::threads;
    const int row = piece / (M::depth / 8), apart = (row & ~7) | (row & 1) << 2 | (row >> 1 & 3);
    const int po = x.k_contiguous ? apart : piece % (Tile / 8) * 8;
    const int pk = x.k_contiguous ? piece % (M::depth / 8) * 8 : piece / (Tile / 8);
    T* const to = slice + (x.k_contiguous ? po * M::pitch_k + pk : pk * M::pitch_o + po);
    if (x.vectors) {
      const T* from = x.at(o + po, k + pk);
      cp_async16_or_zero(to, from ? from : x.data, from != nullptr);
    } else {
      // Four at a time: eight in line, each with its own address, were most of this file's machine code.
#pragma unroll 1
      for (int half = 0; half < 8; half += 4) {
        const int first = hidden(half);
        Vec<T, 4> four;
#pragma unroll
        for (int e = 0; e < 4; ++e) {
          const int step = first + e;
          const T* const from = x.k_contiguous ? x.at(o + po, k + pk + step) : x.at(o + po + step, k + pk);
          four[e] = from ? *from : T(0.0f);
        }
        store8(to + first, four);
      }
    }
  }
}

// Four 8×8 tiles at (o, k) … (o+8, k+8). Which lane names which row depends on how the fragment orders the tiles: a
// wants rows first, b k first.
template <int Tile, bool RowsFirst, class T>
__device__ void load_fragment(uint32_t (&r)[4], const T* slice, bool k_contiguous, int o, int k) {
  using M = MmaTile<Tile>;
  const int lane = threadIdx.x % 32, inner = lane % 8, first = lane / 8 % 2 * 8, second = lane / 16 * 8;
  const int to = RowsFirst ? first : second, tk = RowsFirst ? second : first;
  if (k_contiguous)
    ldmatrix_x4(r, slice + (o + to + inner) * M::pitch_k + k + tk);
  else
    ldmatrix_x4_trans(r, slice + (k + tk + inner) * M::pitch_o + o + to);
}

template <int Tile, class T, class A, class B, class F>
__global__ void __launch_bounds__(2 * Tile, 256 / Tile)
    gemm_mma(Schedule s, A all_a, B all_b, Epilogue<T, F> epilogue) {
  using M = MmaTile<Tile>;
  constexpr int kRowTiles = M::warp_rows / 16, kColTiles = M::warp_cols / 8;
  DYNAMIC_SHARED(T, shared);
  const Share share = share_of_block<Tile>(s);
  const Selected<A> a(all_a, share.batch);
  const Selected<B> b(all_b, share.batch);
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int warp_row = warp % 2 * M::warp_rows, warp_col = warp / 2 * M::warp_cols;
  const auto a_slice = [&](int stage) { return shared + 2 * stage * M::slice; };
  const auto b_slice = [&](int stage) { return shared + (2 * stage + 1) * M::slice; };
  const auto fetch = [&](int stage, int k) {
    if (k < share.k_end) {
      fetch_slice<Tile>(a_slice(stage), a, share.row, k);
      fetch_slice<Tile>(b_slice(stage), b, share.col, k);
    }
    cp_async_commit();  // an empty group where nothing is left: the count below stays right
  };

  float sum[kRowTiles][kColTiles][4] = {};
  for (int i = 0; i < M::stages - 1; ++i) fetch(i, share.k_begin + i * M::depth);
  int stage = 0;
  for (int k = share.k_begin; k < share.k_end; k += M::depth) {
    cp_async_wait<M::stages - 2>();
    __syncthreads();  // the slice is there for all; and all are done with the one that is fetched over next
    fetch((stage + M::stages - 1) % M::stages, k + (M::stages - 1) * M::depth);
#pragma unroll
    for (int kk = 0; kk < M::depth; kk += 16) {
      uint32_t bf[kColTiles / 2][4];
#pragma unroll
      for (int j = 0; j < kColTiles / 2; ++j)
        load_fragment<Tile, false>(bf[j], b_slice(stage), b.k_contiguous, warp_col + 16 * j, kk);
#pragma unroll
      for (int i = 0; i < kRowTiles; ++i) {
        uint32_t af[4];
        load_fragment<Tile, true>(af, a_slice(stage), a.k_contiguous, warp_row + 16 * i, kk);
#pragma unroll
        for (int j = 0; j < kColTiles; ++j)
          multiply<T>(sum[i][j], af, {bf[j / 2][j % 2 * 2], bf[j / 2][j % 2 * 2 + 1]});
      }
    }
    stage = (stage + 1) % M::stages;
  }

  // Half of the rows at a time through shared memory: those of the even warps, then those of the odd.
  cp_async_wait<0>();
  float* const staged = reinterpret_cast<float*>(shared);
  constexpr int kPitch = Tile + 8;  // four rows of a fragment, two floats a lane, are half a warp's 32 banks
#pragma unroll 1
  for (int half = 0; half < 2; ++half) {
    __syncthreads();
    if (warp % 2 == half)
#pragma unroll
      for (int i = 0; i < kRowTiles; ++i)
#pragma unroll
        for (int j = 0; j < kColTiles; ++j)
#pragma unroll
          for (int e = 0; e < 4; e += 2)
            store8(staged + (16 * i + lane / 4 + e / 2 * 8) * kPitch + warp_col + 8 * j + lane % 4 * 2,
                   {{sum[i][j][e], sum[i][j][e + 1]}});
    __syncthreads();
    write_staged<M::warp_rows, Tile>(s, share, epilogue, staged, kPitch, share.row + half * M::warp_rows, share.col);
  }
}

/// c ← a·b through the tensor cores.
template <class T, class F, class A, class B>
void run_mma(Gpu gpu, const char* op, int64_t batch, int64_t m, int64_t n, int64_t k, const A& a, const B& b,
             const Epilogue<T, F>& epilogue) {
  const int tile = tile_for(m, n);
  const Schedule s = schedule(op, batch, m, n, k, tile, 32);
  with_splits(gpu, s, epilogue, [&](const Schedule& part) {
    if (tile == 128)
      launch<gemm_mma<128, T, A, B, F>>(gpu, {dim3(part.blocks()), dim3(256), MmaTile<128>::shared_bytes}, part, a, b,
                                        epilogue);
    else
      launch<gemm_mma<64, T, A, B, F>>(gpu, {dim3(part.blocks()), dim3(128), MmaTile<64>::shared_bytes}, part, a, b,
                                       epilogue);
  });
}

/// By the type: f32 to the register kernel, 16-bit to the tensor cores.
template <class T, class F, class A, class B>
void run(Gpu gpu, const char* op, int64_t batch, int64_t m, int64_t n, int64_t k, const A& a, const B& b,
         const Epilogue<T, F>& epilogue) {
  if constexpr (std::is_same_v<T, float>)
    run_register(gpu, op, batch, m, n, k, a, b, epilogue);
  else
    run_mma(gpu, op, batch, m, n, k, a, b, epilogue);
}

}  // namespace holt::gemm
