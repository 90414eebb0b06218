// 16-bit floats on the CPU, a row or a block at a time: widened into a float buffer in the nearest cache, worked on as
// floats, rounded on the way out. One loop that converted, computed and rounded would be shorter, but GCC makes poor
// code of it: relu takes 8 cycles for 16 elements of bf16 and 32 of f16 in that way, 4 in this one.
//
//   const A* xs = widen(n, x, buffer);     x itself for float and double, which need no buffer
//   A* ys = room(y, buffer);               y itself, too
//   for (…) ys[i] = f(xs[i]);
//   narrow(n, ys, y);                      nothing for float and double
//
// The processor's own instructions are used where the build may (AVX2, AVX-512, its BF16, F16C); they give the bits of
// dtype.h's conversions.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstring>
#if defined(__AVX2__) || defined(__F16C__)
#include <immintrin.h>
#endif

#include "kernels/dtype.h"
#include "kernels/memory.h"
#include "kernels/parallel.h"

namespace holt {

namespace detail {

#if defined(__AVX512F__)
// All lanes: GCC 12 warns of its own header's uninitialised vector where an intrinsic has no mask (its bug 105593).
inline constexpr __mmask16 kAll = 0xffff;
#endif

inline void widen(int64_t n, const float* x, float* to) { std::copy_n(x, n, to); }

inline void widen(int64_t n, const bf16* x, float* to) {
  int64_t i = 0;
#if defined(__AVX512F__)  // GCC widens halves of 8 and joins them
  for (; i + 16 <= n; i += 16) {
    const __m256i half = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x + i));
    const __m512i whole = _mm512_maskz_slli_epi32(kAll, _mm512_maskz_cvtepu16_epi32(kAll, half), 16);
    _mm512_storeu_ps(to + i, _mm512_castsi512_ps(whole));
  }
#elif defined(__AVX2__)
  for (; i + 8 <= n; i += 8) {
    const __m128i half = _mm_loadu_si128(reinterpret_cast<const __m128i*>(x + i));
    _mm256_storeu_ps(to + i, _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16)));
  }
#endif
#pragma omp simd
  for (int64_t k = i; k < n; ++k) to[k] = float(x[k]);
}

inline void widen(int64_t n, const f16* x, float* to) {
  int64_t i = 0;
#if defined(__AVX512F__)
  for (; i + 16 <= n; i += 16)
    _mm512_storeu_ps(to + i, _mm512_maskz_cvtph_ps(kAll, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x + i))));
#elif defined(__F16C__)
  for (; i + 8 <= n; i += 8)
    _mm256_storeu_ps(to + i, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(x + i))));
#endif
#pragma omp simd
  for (int64_t k = i; k < n; ++k) to[k] = float(x[k]);
}

inline void narrow(int64_t n, const float* x, bf16* to) {
  int64_t i = 0;
#if defined(__AVX512BF16__) && defined(__AVX512DQ__)
  constexpr int kSubnormal = 0x20;
  for (; i + 16 <= n; i += 16) {
    const __m512 v = _mm512_loadu_ps(x + i);
    if (_mm512_fpclass_ps_mask(v, kSubnormal)) [[unlikely]] {  // the instruction takes these for 0
      for (int64_t k = i; k < i + 16; ++k) to[k] = bf16(x[k]);
      continue;
    }
    const __m256bh rounded = _mm512_cvtneps_pbh(v);
    std::memcpy(to + i, &rounded, sizeof rounded);
  }
#elif defined(__AVX2__) && !defined(__AVX512F__)  // dtype.h's rounding
  for (; i + 8 <= n; i += 8) {
    const __m256 v = _mm256_loadu_ps(x + i);
    const __m256i u = _mm256_castps_si256(v), odd = _mm256_and_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(1));
    const __m256i rounded = _mm256_add_epi32(_mm256_add_epi32(u, _mm256_set1_epi32(0x7fff)), odd),
                  quiet = _mm256_or_si256(u, _mm256_set1_epi32(0x400000)),
                  nan = _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_UNORD_Q)),
                  upper = _mm256_srli_epi32(_mm256_blendv_epi8(rounded, quiet, nan), 16);
    const __m128i packed = _mm_packus_epi32(_mm256_castsi256_si128(upper), _mm256_extracti128_si256(upper, 1));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to + i), packed);
  }
#endif
#pragma omp simd
  for (int64_t k = i; k < n; ++k) assign(to[k], x[k]);
}

inline void narrow(int64_t n, const float* x, f16* to) {
  int64_t i = 0;
#if defined(__AVX512F__)
  for (; i + 16 <= n; i += 16)
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + i),
                        _mm512_maskz_cvtps_ph(kAll, _mm512_loadu_ps(x + i), _MM_FROUND_TO_NEAREST_INT));
#elif defined(__F16C__)
  for (; i + 8 <= n; i += 8)
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to + i),
                     _mm256_cvtps_ph(_mm256_loadu_ps(x + i), _MM_FROUND_TO_NEAREST_INT));
#endif
#pragma omp simd
  for (int64_t k = i; k < n; ++k) assign(to[k], x[k]);
}

}  // namespace detail

/// x[n] as values to compute with: x itself, or `buffer`, filled.
template <class T>
const acc_t<T>* widen(int64_t n, const T* x, acc_t<T>* buffer) {
  if constexpr (std::is_same_v<T, acc_t<T>>) {
    return x;
  } else {
    detail::widen(n, x, buffer);
    return buffer;
  }
}

/// Where to put results for y: y itself, or `buffer`.
template <class T>
acc_t<T>* room(T* y, acc_t<T>* buffer) {
  if constexpr (std::is_same_v<T, acc_t<T>>)
    return y;
  else
    return buffer;
}

/// Rounds what was put into room() to y[n].
template <class T>
void narrow(int64_t n, const acc_t<T>* results, T* y) {
  if constexpr (!std::is_same_v<T, acc_t<T>>) detail::narrow(n, results, y);
}

/// f(first, count, buffers) for blocks of [begin, end). buffers[0 … 2] have room for a block each: 2 KiB, so that they
/// and the data they come from stay in the first-level cache. Where T needs no buffers there is one block.
template <class T, class F>
void in_blocks(int64_t begin, int64_t end, F&& f) {
  if constexpr (std::is_same_v<T, acc_t<T>>) {
    acc_t<T>* none[3] = {};
    f(begin, end - begin, none);
  } else {
    constexpr int64_t kBlock = 512;
    acc_t<T> buffers[3][kBlock];
    for (int64_t i = begin; i < end; i += kBlock) f(i, std::min(kBlock, end - i), buffers);
  }
}

/// Asks for x[n], to come from memory while something else is computed: a row's exponentials take as long as the next
/// row's way, for which its first pass would wait (the processor's own prefetching ends with each page). x may lie
/// behind the end of an array.
template <class T>
void prefetch(int64_t n, const T* x) {
  const uintptr_t first = reinterpret_cast<uintptr_t>(x);
  for (uintptr_t i = 0; i < n * sizeof(T); i += 64) __builtin_prefetch(reinterpret_cast<const void*>(first + i));
}

/// f(row, buffers) for each of `rows` rows, whose work is `cost`, split over the threads. buffers[0 … N) have room for
/// `cols` elements each, where T needs them.
template <class T, int N, class F>
void for_rows(int64_t rows, int64_t cols, int64_t cost, F&& f) {
  using A = acc_t<T>;
  const int64_t room = std::is_same_v<T, A> ? 0 : (cols + 15) / 16 * 16;
  // Small rows find theirs on the stack: nothing to allocate for a layer that takes a microsecond.
  constexpr int64_t kOnStack = std::is_same_v<T, A> ? 1 : 1024;
  const int64_t parts = std::min<int64_t>(rows, threads_for(rows * cost));
  const Workspace memory(Device::cpu, room > kOnStack ? parts * N * room * sizeof(A) : 0);
  parallel_for(parts, rows * cost, [&](int64_t first, int64_t last) {
    A stack[N * kOnStack];
    A* buffers[N];
    for (int k = 0; k < N; ++k) buffers[k] = (room > kOnStack ? memory.as<A>() + first * N * room : stack) + k * room;
    for (int64_t r = rows * first / parts; r < rows * last / parts; ++r) f(r, buffers);
  });
}

}  // namespace holt
