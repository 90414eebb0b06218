// What products and convolutions share on a GPU: c[M,N] = epilogue(Σ_k a(m,k)·b(k,n)), where a and b say where their
// elements lie. A convolution is such a product whose operands are gathered from the image while they are loaded
// ("implicit GEMM"): the matrix of patches never exists.
//
// An operand is a small struct, passed by value to the kernel:
//   k_contiguous        whether (o, k) and (o, k+1) are neighbours in memory; otherwise (o, k) and (o+1, k) are
//   vectors             whether 16 bytes along that axis, from a multiple of their number on, are aligned and wholly
//                       inside or wholly outside; otherwise elements are loaded one at a time, each with its own check
//   data, batch_stride  the matrices of a batch are batch_stride apart
//   at(data, o, k)      the element's address in the matrix at `data`, or null where it is zero (outside, padding); o
//                       is a row of a or a column of b
//
// Long sums with few outputs (weight gradients) are cut into splits, each summed by blocks of its own into float
// partial sums; add_splits adds them in order. No atomics: the same bits every time.
#pragma once
#include "kernels/gpu.cuh"

namespace holt::gemm {

/// A matrix in memory, each row of the operand (a's rows, b's columns) `stride_o` apart; one of the strides is 1.
template <class T>
struct Dense {
  const T* data;
  int outer, k;
  int64_t stride_o, stride_k, batch_stride;
  bool k_contiguous, vectors;

  Dense(const T* x, int64_t o, int64_t depth, bool along_k, int64_t batch_step)
      : data(x),
        outer(static_cast<int>(o)),
        k(static_cast<int>(depth)),
        stride_o(along_k ? depth : 1),
        stride_k(along_k ? 1 : o),
        batch_stride(batch_step),
        k_contiguous(along_k),
        vectors(aligned16(x) && (along_k ? depth : o) % Vec<T>::size == 0) {}
  /// `o` columns of a matrix [depth, width], the matrices of the batch side by side.
  Dense(const T* x, int64_t o, int64_t depth, int64_t width, int64_t batch_step)
      : data(x),
        outer(static_cast<int>(o)),
        k(static_cast<int>(depth)),
        stride_o(1),
        stride_k(width),
        batch_stride(batch_step),
        k_contiguous(false),
        vectors(aligned16(x) && o % Vec<T>::size == 0 && width % Vec<T>::size == 0) {}
  __device__ const T* at(const T* matrix, int o, int kk) const {
    return o < outer && kk < k ? matrix + (o * stride_o + kk * stride_k) : nullptr;
  }
};

/// The matrix of a batch that a block works on. The operand itself stays where the kernel's parameters are: nvcc would
/// bring all of one that is changed into registers, and take several times as long.
template <class Operand>
struct Selected {
  const Operand& all;
  decltype(Operand::data) data;
  const bool &k_contiguous, &vectors;

  __device__ Selected(const Operand& x, int64_t batch)
      : all(x), data(x.data + batch * x.batch_stride), k_contiguous(x.k_contiguous), vectors(x.vectors) {}
  __device__ auto at(int o, int k) const { return all.at(data, o, k); }
};

/// 16 bytes of operand x from (o, k) along its contiguous axis.
template <class T, class Operand>
__device__ Vec<T> load_vector(const Operand& x, int o, int k) {
  Vec<T> v;
  o = hidden(o);
  if (x.vectors) {
    const T* p = x.at(o, k);
    if (p) return load16(p);
#pragma unroll
    for (int i = 0; i < Vec<T>::size; ++i) v[i] = T(0.0f);
  } else {
#pragma unroll
    for (int i = 0; i < Vec<T>::size; ++i) {
      const T* p = x.k_contiguous ? x.at(o, k + i) : x.at(o + i, k);
      v[i] = p ? *p : T(0.0f);
    }
  }
  return v;
}

/// Where the sums go: c(batch, row, col) stands at batch·batch_step + row·row_step + col, so that the groups of a
/// convolution, which are its batch, may lie side by side. F: the activation, a function of float; what a caller cannot
/// ask for is not compiled into its kernels.
template <class T, class F>
struct Epilogue {
  T* c;
  T* pre;         // may be null
  const T* bias;  // may be null
  F activation;
  int64_t batch_step, row_step;
  int bias_step = 0;  // from a batch's bias to the next's

  __device__ void operator()(int64_t batch, int64_t row, int col, int count, const Vec<float>& sums) const {
    const int64_t i = batch * batch_step + row * row_step + col;
    const T* const b = bias ? bias + batch * bias_step + col : nullptr;
    Vec<T, 4> before, after;
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const float sum = sums[j] + (b && j < count ? float(b[j]) : 0.0f);
      before[j] = T(sum);
      after[j] = T(activation(sum));
    }
    if (pre) put(pre + i, before, count);
    put(c + i, after, count);
  }

 private:
  __device__ static void put(T* to, const Vec<T, 4>& x, int count) {
    if (count >= 4 && reinterpret_cast<uintptr_t>(to) % sizeof(x) == 0) {
      *reinterpret_cast<Vec<T, 4>*>(to) = x;
      return;
    }
#pragma unroll
    for (int j = 0; j < 4; ++j)
      if (j < count) to[j] = x[j];
  }
};

/// How the product is shared out: tiles of Tile×Tile outputs, each summed in `splits` pieces of `k_split` (a multiple
/// of the tile's depth).
struct Schedule {
  int m, n, k;
  int tiles_m, tiles_n;
  int64_t batch;
  int splits, k_split;
  float* partial = nullptr;  ///< [splits][batch·M·N] if splits > 1

  HOLT_HD int64_t size() const { return batch * m * n; }
  int64_t blocks() const { return int64_t{tiles_m} * tiles_n * batch * splits; }
};

/// A block's share.
struct Share {
  int row, col;  // of the tile's first output
  int split, k_begin, k_end;
  int64_t batch;
};

// Blocks that run at the same time should read the same operand rows, so that these come from L2: tiles go down columns
// of eight.
template <int Tile>
__device__ Share share_of_block(const Schedule& s) {
  const int tiles = s.tiles_m * s.tiles_n, splits = s.splits;
  const int64_t id = blockIdx.x, rest = id / splits;
  const int tile = static_cast<int>(rest % tiles), group_tiles = 8 * s.tiles_n, first = tile / group_tiles * 8;
  const int height = s.tiles_m - first < 8 ? s.tiles_m - first : 8, in_group = tile % group_tiles;
  Share b;
  b.row = (first + in_group % height) * Tile;
  b.col = in_group / height * Tile;
  b.batch = rest / tiles;
  b.split = static_cast<int>(id % splits);
  b.k_begin = b.split * s.k_split;
  b.k_end = b.k_begin + s.k_split < s.k ? b.k_begin + s.k_split : s.k;
  return b;
}

/// Cuts m×n×k into tiles and splits. The number of splits depends on the shape alone, not on the GPU, so that every GPU
/// adds in the same order: enough for about kBlocks blocks, pieces of at least kMinDepth.
inline Schedule schedule(const char* op, int64_t batch, int64_t m, int64_t n, int64_t k, int tile, int depth) {
  constexpr int64_t kBlocks = 256, kMinDepth = 512, kLimit = int64_t{1} << 31;
  check(m < kLimit && n < kLimit && k < kLimit,
        "{}: GPU kernels index rows, columns and sums with 31 bits, got {}, {}, {}", op, m, n, k);
  Schedule s{static_cast<int>(m),
             static_cast<int>(n),
             static_cast<int>(k),
             static_cast<int>(cdiv(m, tile)),
             static_cast<int>(cdiv(n, tile)),
             batch,
             1,
             0};
  const int64_t splits = std::min(cdiv(kBlocks, std::max<int64_t>(s.blocks(), 1)), k / kMinDepth);
  s.k_split = static_cast<int>(cdiv(cdiv(k, std::max<int64_t>(splits, 1)), depth) * depth);
  s.splits = static_cast<int>(std::max<int64_t>(cdiv(k, std::max(s.k_split, 1)), 1));
  check(int64_t{s.tiles_m} * s.tiles_n < kLimit && s.blocks() < kLimit,
        "{}: {} blocks are more than a GPU's grid holds", op, s.blocks());
  return s;
}

/// The largest tile that the outputs fill to some degree.
inline int tile_for(int64_t m, int64_t n) { return m > 64 && n > 64 ? 128 : 64; }

/// Writes Rows×Cols outputs that a block staged in shared memory (rows `pitch` apart) as c[row …, col …]. One loop that
/// is not unrolled over them: epilogues in line with each register of a thread would be hundreds of copies; and
/// neighbouring threads write neighbouring addresses, 4 elements each.
template <int Rows, int Cols, class E>
__device__ void write_staged(const Schedule& s, const Share& share, const E& epilogue, const float* staged, int pitch,
                             int row, int col) {
  float* const partial = s.partial ? s.partial + share.split * s.size() : nullptr;
#pragma unroll 1
  for (int i = threadIdx.x; i < Rows * Cols / 4; i += blockDim.x) {
    const int r = i / (Cols / 4), first = i % (Cols / 4) * 4;
    if (row + r >= s.m) break;  // the rows after it are outside, too
    const Vec<float> sums = load16(staged + r * pitch + first);
    const int count = s.n - col - first;
    if (partial) {
      const int64_t at = (share.batch * s.m + row + r) * s.n + col + first;
#pragma unroll
      for (int j = 0; j < 4; ++j)
        if (j < count) partial[at + j] = sums[j];
    } else {
      epilogue(share.batch, row + r, col + first, count, sums);
    }
  }
}

template <class E>
__global__ void add_splits(Schedule s, E epilogue) {
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x, size = s.size();
  if (i >= size) return;
  Vec<float> sum{};
  for (int k = 0; k < s.splits; ++k) sum[0] += s.partial[k * size + i];
  const int64_t row = i / s.n;
  epilogue(row / s.m, row % s.m, static_cast<int>(i % s.n), 1, sum);
}

/// start(schedule) launches the product; the partial sums' memory and their addition are cared for here.
template <class E, class Start>
void with_splits(Gpu gpu, Schedule s, const E& epilogue, Start&& start) {
  if (s.splits == 1) return start(s);
  const Workspace partial(gpu, s.splits * s.size() * sizeof(float));
  s.partial = partial.as<float>();
  start(s);
  launch<add_splits<E>>(gpu, {cdiv(s.size(), 256), 256}, s, epilogue);
}

}  // namespace holt::gemm
