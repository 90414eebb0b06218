// Products of small matrices on the CPU, for kernels that keep their operands in the cache: c[m,n] (+)= Σ_k
// a[m,k]·b[k,n].
//
// Six rows of c by four vectors stay in registers; each step along k loads four vectors of b and broadcasts six numbers
// of a: 24 multiply-adds for ten loads. Operands are In:
//   float, double   themselves
//   Pair            two neighbours along k in bf16, multiplied and added by one AVX512_BF16 instruction (twice
//                   the flops of float; subnormals count as zero)
// b is packed so that n is contiguous (pack_rows, pack_columns); a's strides are free. An element of c is summed along
// k in order, whatever tile it falls into: results do not depend on how rows are cut into blocks.
#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <utility>
#if defined(__AVX512BF16__)
#include <immintrin.h>
#endif

#include "kernels/dtype.h"
#include "kernels/narrow.h"

namespace holt::small {

#if defined(__AVX512F__)
inline constexpr int kVectorBytes = 64, kTileVectors = 4;
#elif defined(__AVX__)
inline constexpr int kVectorBytes = 32, kTileVectors = 2;
#else
inline constexpr int kVectorBytes = 16, kTileVectors = 2;
#endif
inline constexpr int kTileRows = 6;

/// Two bf16, the one with the lower index along k in the lower half.
enum class [[gnu::may_alias]] Pair : uint32_t{};

template <class In>
struct Traits {
  using Sum = In;
  static constexpr int per_element = 1;  ///< steps along k that an element holds
};
template <>
struct Traits<Pair> {
  using Sum = float;
  static constexpr int per_element = 2;
};
template <class In>
using sum_t = typename Traits<In>::Sum;

/// What T is multiplied as.
#if defined(__AVX512BF16__)
template <class T>
using operand_t = std::conditional_t<std::is_same_v<T, bf16>, Pair, acc_t<T>>;
#else
template <class T>
using operand_t = acc_t<T>;
#endif

/// Numbers in a vector, and in the columns of a tile.
template <class In>
inline constexpr int64_t kLanes = kVectorBytes / static_cast<int>(sizeof(In));
template <class In>
inline constexpr int64_t kTileCols = kTileVectors* kLanes<In>;

template <class In>
struct VectorOf {
  typedef In type __attribute__((vector_size(kVectorBytes)));
  typedef In unaligned __attribute__((vector_size(kVectorBytes), aligned(alignof(In)), may_alias));
};
template <>
struct VectorOf<Pair> : VectorOf<uint32_t> {};
template <class In>
using vector_t = typename VectorOf<In>::type;

template <class In>
vector_t<In> load(const In* p) {
  return *reinterpret_cast<const typename VectorOf<In>::unaligned*>(p);
}
template <class In>
void store(In* p, vector_t<In> x) {
  *reinterpret_cast<typename VectorOf<In>::unaligned*>(p) = x;
}

template <class In>
vector_t<sum_t<In>> multiply_add(vector_t<sum_t<In>> sum, In a, vector_t<In> b) {
#if defined(__AVX512BF16__)
  if constexpr (std::is_same_v<In, Pair>)
    return _mm512_dpbf16_ps(sum, (__m512bh)_mm512_set1_epi32(static_cast<int>(a)), (__m512bh)b);
  else
#endif
    return sum + a * b;
}

constexpr int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }
/// Elements of In along k for `depth` steps.
template <class In>
constexpr int64_t elements(int64_t depth) {
  return (depth + Traits<In>::per_element - 1) / Traits<In>::per_element;
}

/// a[m,k] = data[m·row + k·step].
template <class In>
struct Left {
  const In* data;
  int64_t row, step;
};

/// b[k,n] = data[n / width·panel + k·step + n % width], width = kTileCols.
template <class In>
struct Right {
  const In* data;
  int64_t step, panel;
};

namespace detail {

template <class In, int M, int N>
void tile(int64_t k, const Left<In>& a, const In* b, int64_t b_step, sum_t<In>* c, int64_t c_row, bool add) {
  using S = sum_t<In>;
  constexpr int64_t L = kLanes<S>;
  vector_t<S> sum[M][N];
#pragma GCC unroll 8
  for (int i = 0; i < M; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < N; ++j) sum[i][j] = add ? load(c + i * c_row + j * L) : vector_t<S>{};
  const In* x = a.data;
  const int64_t row = a.row, step = a.step;
  for (int64_t kk = 0; kk < k; ++kk, x += step, b += b_step) {
    vector_t<In> bv[N];
#pragma GCC unroll 4
    for (int j = 0; j < N; ++j) bv[j] = load(b + j * L);
#pragma GCC unroll 8
    for (int i = 0; i < M; ++i) {
      const In ai = x[i * row];
#pragma GCC unroll 4
      for (int j = 0; j < N; ++j) sum[i][j] = multiply_add<In>(sum[i][j], ai, bv[j]);
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < M; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < N; ++j) store(c + i * c_row + j * L, sum[i][j]);
}

template <class In>
using Tile = decltype(&tile<In, 1, 1>);

template <class In, size_t... I>
constexpr std::array<Tile<In>, sizeof...(I)> make_tiles(std::index_sequence<I...>) {
  return {tile<In, I / kTileVectors + 1, I % kTileVectors + 1>...};
}

// Rows of the matrix whose columns are the given ones: L×L at a time, in log₂ L rounds of exchanges between vectors.
template <class E>
void transpose(vector_t<E> (&x)[kLanes<E>]) {
  constexpr int L = kLanes<E>;
  using Index = std::conditional_t<sizeof(E) == 4, int32_t, int64_t>;
#pragma GCC unroll 4
  for (int w = 1; w < L; w *= 2) {
    vector_t<Index> low{}, high{};
#pragma GCC unroll 16
    for (int i = 0; i < L; ++i) {
      low[i] = i & w ? L + i - w : i;
      high[i] = i & w ? L + i : i + w;
    }
#pragma GCC unroll 16
    for (int i = 0; i < L; ++i) {
      if (i & w) continue;
      const vector_t<E> a = x[i], b = x[i + w];
      x[i] = __builtin_shuffle(a, b, low);
      x[i + w] = __builtin_shuffle(a, b, high);
    }
  }
}

}  // namespace detail

/// c[m, n] (+)= a·b over `k` elements of In. Columns are written in whole vectors.
template <class In>
void product(int64_t m, int64_t n, int64_t k, Left<In> a, const Right<In>& b, sum_t<In>* c, int64_t c_row, bool add) {
  static constexpr auto tiles =
      detail::make_tiles<In>(std::make_index_sequence<static_cast<size_t>(kTileRows * kTileVectors)>());
  const In* const a_first = a.data;
  for (int64_t j = 0; j < n; j += kTileCols<In>) {
    const int64_t vectors = std::min<int64_t>(kTileVectors, round_up(n - j, kLanes<In>) / kLanes<In>);
    const In* const panel = b.data + j / kTileCols<In> * b.panel;
    for (int64_t i = 0; i < m; i += kTileRows) {
      const int64_t rows = std::min<int64_t>(kTileRows, m - i);
      a.data = a_first + i * a.row;
      tiles[(rows - 1) * kTileVectors + vectors - 1](k, a, panel, b.step, c + i * c_row + j, c_row, add);
    }
  }
}

/// Gives pieces of one block of memory to pointers, each at a multiple of 64 bytes. Over null it gives null, and only
/// counts.
class Pieces {
 public:
  explicit Pieces(char* memory) : memory_(memory) {}
  template <class X>
  void take(X*& p, int64_t n) {
    p = memory_ ? reinterpret_cast<X*>(memory_ + used_) : nullptr;
    used_ += round_up(n * static_cast<int64_t>(sizeof(X)), 64);
  }
  size_t used() const { return used_; }

 private:
  char* memory_;
  size_t used_ = 0;
};

#if defined(__AVX512BF16__)  // the only place where there are pairs: operand_t
// Sums rounded to pairs. Subnormals become zero, as which they would be multiplied anyway (narrow.h takes care of
// them).

/// A vector of sums as pairs along k.
inline void store_left(Pair* to, vector_t<float> x) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), (__m256i)_mm512_cvtneps_pbh((__m512)x));
}

/// Two rows' vectors as pairs of one number of each: k along the rows' numbering. If `left` is there, each row also as
/// pairs along itself, the higher one `left_step` elements behind.
inline void store_rows(Pair* to, vector_t<float> low, vector_t<float> high, Pair* left, int64_t left_step) {
  typedef uint16_t Halves __attribute__((vector_size(64)));
  constexpr Halves kInterleave = {0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
                                  8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  const __m512bh both = _mm512_cvtne2ps_pbh((__m512)high, (__m512)low);
  store(to, (vector_t<Pair>)__builtin_shuffle((Halves)both, kInterleave));
  if (!left) return;
  const auto rows = (vector_t<int64_t>)both;
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(left), (__m256i)__builtin_shufflevector(rows, rows, 0, 1, 2, 3));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(left + left_step),
                      (__m256i)__builtin_shufflevector(rows, rows, 4, 5, 6, 7));
}
#endif

/// Rows of n numbers of T, `pitch` apart, as rows of In, `row` elements apart, for Left with k along them. Times scale,
/// but not as Pair.
template <class In, class T>
void pack_left(int64_t rows, int64_t n, const T* x, int64_t pitch, sum_t<In> scale, In* to, int64_t row) {
  for (int64_t r = 0; r < rows; ++r, x += pitch, to += row) {
    if constexpr (std::is_same_v<In, Pair>) {
      std::memcpy(to, x, n * sizeof(T));
    } else {
      const In* xs = widen(n, x, to);
#pragma omp simd
      for (int64_t i = 0; i < n; ++i) to[i] = xs[i] * scale;
    }
  }
}

/// The same rows as Right with k along the rows' numbering: `row` elements a step, a multiple of kLanes; what is beyond
/// n is set to zero.
template <class In, class T>
void pack_rows(int64_t rows, int64_t n, const T* x, int64_t pitch, sum_t<In> scale, In* to, int64_t row) {
  if constexpr (std::is_same_v<In, Pair>) {
    for (int64_t r = 0; r < rows; r += 2, to += row) {
      const T *low = x + r * pitch, *high = low + pitch;
      auto* const pairs = reinterpret_cast<uint32_t*>(to);
      if (r + 1 < rows) {
#pragma omp simd
        for (int64_t i = 0; i < n; ++i) pairs[i] = low[i].bits | uint32_t{high[i].bits} << 16;
      } else {
#pragma omp simd
        for (int64_t i = 0; i < n; ++i) pairs[i] = low[i].bits;
      }
      std::fill(to + n, to + row, Pair{});
    }
  } else {
    pack_left<In>(rows, n, x, pitch, scale, to, row);
    for (int64_t r = 0; r < rows; ++r) std::fill(to + r * row + n, to + (r + 1) * row, In(0));
  }
}

/// The same rows as Right with k along them, n along their numbering: panels of kTileCols rows, `elements(n)` steps of
/// k each; rows that are missing in the last one count as zero.
template <class In, class T>
void pack_columns(int64_t rows, int64_t n, const T* x, int64_t pitch, In* to) {
  constexpr int64_t L = kLanes<In>, W = kTileCols<In>;
  const int64_t depth = elements<In>(n), wide = round_up(depth, L);
  using E = std::conditional_t<std::is_same_v<In, Pair>, uint32_t, In>;
  alignas(kVectorBytes) In group[L * 128];  // L rows as In
  for (int64_t r = 0; r < rows; r += L) {
    const int64_t there = std::min(L, rows - r);
    if (wide > depth || there < L) std::fill(group, group + L * wide, In{});
    pack_left<In>(there, n, x + r * pitch, pitch, 1, group, wide);
    In* const panel = to + r / W * W * depth + r % W;
    for (int64_t d = 0; d < depth; d += L) {
      vector_t<E> block[L];
#pragma GCC unroll 16
      for (int64_t i = 0; i < L; ++i) block[i] = load(reinterpret_cast<const E*>(group) + i * wide + d);
      detail::transpose<E>(block);
#pragma GCC unroll 16
      for (int64_t i = 0; i < L; ++i)
        if (d + i < depth) store(reinterpret_cast<E*>(panel) + (d + i) * W, block[i]);
    }
  }
}

}  // namespace holt::small
