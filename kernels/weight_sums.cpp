#include "kernels/weight_sums.h"

#include "kernels/narrow.h"
#include "kernels/rooms.h"

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__)
#define HOLT_TILES 1
#else
#define HOLT_TILES 0
#endif

namespace holt::weight_sums {
namespace {

constexpr int64_t kLanes = 16;

#if defined(__AVX512BF16__)
constexpr bool kHalf = true;
#else
constexpr bool kHalf = false;
#endif
template <class T>
inline constexpr bool kBuilt = HOLT_TILES && (std::is_same_v<T, float> || kHalf);

#if HOLT_TILES

// Two 16-bit values, of two pixels, side by side: what VDPBF16PS multiplies.
using Pair = uint32_t;
template <class T>
inline constexpr int64_t kPixels = std::is_same_v<T, float> ? 1 : 2;  // to a step of a tile
template <class T>
using Step = std::conditional_t<std::is_same_v<T, float>, float, Pair>;

constexpr int64_t kRows = 8;     // a tile is kRows output channels by up to three vectors of columns
constexpr int64_t kSteps = 128;  // of a piece: 24 KiB of packed columns
constexpr int64_t kPanels = 12;  // for which a piece of dy, and of x, whose pixels they share, comes from afar once

// The columns in vectors of 16, in panels of three; what is left over makes panels of two (or the only one of one).
struct Panels {
  int64_t threes, count, vectors;
  explicit Panels(int64_t v) : vectors(v) {
    threes = v % 3 == 1 && v > 1 ? v / 3 - 1 : v / 3;
    count = threes + (v - 3 * threes + 1) / 2;
  }
  int64_t start(int64_t panel) const {
    return panel <= threes ? 3 * panel : std::min(vectors, 3 * threes + 2 * (panel - threes));
  }
};

inline __m512 multiply_add(__m512 sum, float dy, __m512 x) { return _mm512_fmadd_ps(_mm512_set1_ps(dy), x, sum); }
inline __m512 load_columns(const float* x) { return _mm512_load_ps(x); }
#if defined(__AVX512BF16__)
inline __m512 multiply_add(__m512 sum, Pair dy, __m512i x) {
  return _mm512_dpbf16_ps(sum, (__m512bh)_mm512_set1_epi32(static_cast<int>(dy)), (__m512bh)x);
}
inline __m512i load_columns(const Pair* x) { return _mm512_load_si512(x); }
#endif

// sums[8][columns] += Σ_steps dy[step][8]·x[step][columns]: 24 sums in registers, for each step three loads of columns
// and eight of a channel.
template <int Vectors, class S>
void tile(int64_t steps, const S* dy, int64_t dy_stride, const S* x, float* sums, int64_t stride) {
  __m512 s[kRows][Vectors];
#pragma GCC unroll 8
  for (int o = 0; o < kRows; ++o)
#pragma GCC unroll 3
    for (int v = 0; v < Vectors; ++v) s[o][v] = _mm512_setzero_ps();
  for (int64_t k = 0; k < steps; ++k, dy += dy_stride, x += kLanes * Vectors) {
    __builtin_prefetch(dy + 8 * dy_stride);  // its rows lie far apart: the hardware does not guess them
    decltype(load_columns(x)) columns[Vectors];
#pragma GCC unroll 3
    for (int v = 0; v < Vectors; ++v) columns[v] = load_columns(x + kLanes * v);
#pragma GCC unroll 8
    for (int o = 0; o < kRows; ++o)
#pragma GCC unroll 3
      for (int v = 0; v < Vectors; ++v) s[o][v] = multiply_add(s[o][v], dy[o], columns[v]);
  }
#pragma GCC unroll 8
  for (int o = 0; o < kRows; ++o)
#pragma GCC unroll 3
    for (int v = 0; v < Vectors; ++v) {
      float* to = sums + o * stride + kLanes * v;
      _mm512_storeu_ps(to, _mm512_add_ps(_mm512_loadu_ps(to), s[o][v]));
    }
}

template <class S>
void tile(int64_t vectors, int64_t steps, const S* dy, int64_t dy_stride, const S* x, float* sums, int64_t stride) {
  if (vectors == 3) return tile<3>(steps, dy, dy_stride, x, sums, stride);
  if (vectors == 2) return tile<2>(steps, dy, dy_stride, x, sums, stride);
  tile<1>(steps, dy, dy_stride, x, sums, stride);
}

// The vector of columns of `count` pixels in a row of the image, each `from_stride` behind the other.
inline void pack_run(int64_t count, const float* from, int64_t from_stride, int64_t, float* to, int64_t stride) {
  for (int64_t j = 0; j < count; ++j, from += from_stride, to += stride) _mm512_store_ps(to, _mm512_loadu_ps(from));
}
inline void zero_run(int64_t count, int64_t, float* to, int64_t stride) {
  for (int64_t j = 0; j < count; ++j, to += stride) _mm512_store_ps(to, _mm512_setzero_ps());
}

inline __m512i wide(const bf16* x) {
  return _mm512_maskz_cvtepu16_epi32(detail::kAll, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x)));
}
inline __m512i pair(__m512i even, __m512i odd) {
  return _mm512_or_si512(even, _mm512_maskz_slli_epi32(detail::kAll, odd, 16));
}

// `first` is the first pixel's place in the piece. An even pixel alone leaves a zero beside it, an odd one joins it.
inline void pack_run(int64_t count, const bf16* from, int64_t from_stride, int64_t first, Pair* to, int64_t stride) {
  to += first / 2 * stride;
  if (first % 2 && count > 0) {
    _mm512_store_si512(to, pair(_mm512_load_si512(to), wide(from)));
    from += from_stride, to += stride, --count;
  }
  for (; count >= 2; count -= 2, from += 2 * from_stride, to += stride)
    _mm512_store_si512(to, pair(wide(from), wide(from + from_stride)));
  if (count) _mm512_store_si512(to, wide(from));
}
inline void zero_run(int64_t count, int64_t first, Pair* to, int64_t stride) {
  // An odd pixel's place is zero since the even one before it was written.
  for (int64_t k = first + first % 2; k < first + count; k += 2) _mm512_store_si512(to + k / 2 * stride, __m512i{});
}

inline float* at(float* to, int64_t pixel, int64_t stride) { return to + pixel * stride; }
inline Pair* at(Pair* to, int64_t, int64_t) {
  return to;
}  // the runs above count from the piece's first pixel themselves

// Vector `v` of the columns, for pixels [first, first + count): x where the window lies inside of the image, else
// zeros.
template <class T>
void pack(const Conv2d& p, const T* x, int64_t v, int64_t first, int64_t count, Step<T>* to, int64_t stride) {
  const int64_t oh = p.out_h(), ow = p.out_w(), place = v * kLanes / p.cin;
  const int64_t down = place / p.kw * p.dilation_h - p.pad_h, right = place % p.kw * p.dilation_w - p.pad_w;
  // Output columns whose window has this place inside: 0 ≤ j·stride + right < w.
  const int64_t inside = right < 0 ? (-right + p.stride_w - 1) / p.stride_w : 0,
                outside = p.w > right ? (p.w - right + p.stride_w - 1) / p.stride_w : 0;
  int64_t row = first / ow, j = first % ow;
  for (int64_t k = 0; k < count; ++row, j = 0) {
    const int64_t a = row % oh * p.stride_h + down, end = std::min(ow, j + count - k);
    const bool image = a >= 0 && a < p.h;
    const int64_t low = image ? std::clamp(inside, j, end) : end, high = std::clamp(outside, low, end);
    const T* from = x + ((row / oh * p.h + a) * p.w + low * p.stride_w + right) * p.cin + v * kLanes % p.cin;
    zero_run(low - j, k, at(to, k, stride), stride);
    k += low - j;
    pack_run(high - low, from, p.stride_w * p.cin, k, at(to, k, stride), stride);
    k += high - low;
    zero_run(end - high, k, at(to, k, stride), stride);
    k += end - high;
  }
}

// dy of a piece as tiles read it: float as it lies, bf16 in pairs of pixels.
inline const float* steps_of(int64_t, int64_t, const float* dy, int64_t, float*) { return dy; }
inline const Pair* steps_of(int64_t pixels, int64_t channels, const bf16* dy, int64_t row, Pair* room) {
  for (int64_t k = 0; k < pixels; k += 2)
    for (int64_t o = 0; o < channels; o += kLanes) {
      const bf16* even = dy + k * row + o;
      _mm512_storeu_si512(room + k / 2 * channels + o, pair(wide(even), k + 1 < pixels ? wide(even + row) : __m512i{}));
    }
  return room;
}

// dw of panels [panel, last) and output channels [o, o_end): one thread's share, with room(p) of memory of its own.
template <class T>
class Share {
 public:
  static int64_t room(const Conv2d& p) { return kPanelSize + (std::is_same_v<T, float> ? 0 : kSteps * p.cout); }

  Share(const Conv2d& p, const T* dy, const T* x, float* sums, int64_t o, int64_t o_end, Step<T>* room)
      : p_(p),
        dy_(dy),
        x_(x),
        sums_(sums),
        o_(o),
        channels_(o_end - o),
        panels_(p.kh * p.kw * p.cin / kLanes),
        packed_(room),
        dy_room_(room + kPanelSize) {}

  void run(int64_t panel, int64_t last) {
    for (; panel < last; panel += kPanels) group(panel, std::min(last, panel + kPanels));
  }

 private:
  using S = Step<T>;
  static constexpr int64_t kPanelSize = kSteps * 3 * kLanes, kPiece = kSteps * kPixels<T>;

  void group(int64_t begin, int64_t end) {
    const int64_t columns = panels_.vectors * kLanes, first = panels_.start(begin) * kLanes,
                  width = panels_.start(end) * kLanes - first;
    for (int64_t o = o_; o < o_ + channels_; ++o) std::fill_n(sums_ + o * columns + first, width, 0.f);
    const int64_t pixels = p_.n * p_.out_h() * p_.out_w();
    for (int64_t k = 0; k < pixels; k += kPiece) {
      const int64_t count = std::min(kPiece, pixels - k), steps = (count + kPixels<T> - 1) / kPixels<T>;
      const S* dy = steps_of(count, channels_, dy_ + k * p_.cout + o_, p_.cout, dy_room_);
      const int64_t stride = std::is_same_v<T, float> ? p_.cout : channels_;
      for (int64_t q = begin; q < end; ++q) {
        const int64_t vectors = panels_.start(q + 1) - panels_.start(q);
        for (int64_t v = 0; v < vectors; ++v)
          pack(p_, x_, panels_.start(q) + v, k, count, packed_ + v * kLanes, vectors * kLanes);
        for (int64_t o = 0; o < channels_; o += kRows)
          tile(vectors, steps, dy + o, stride, packed_, sums_ + (o_ + o) * columns + panels_.start(q) * kLanes,
               columns);
      }
    }
  }

  const Conv2d p_;
  const T *dy_, *x_;
  float* sums_;
  int64_t o_, channels_;
  Panels panels_;
  S *packed_, *dy_room_;
};

template <class T>
void sum_all(const Conv2d& p, const T* dy, const T* x, float* sums) {
  const int64_t panels = Panels(p.kh * p.kw * p.cin / kLanes).count, parts = p.cout / kLanes;
  const int64_t work = std::max<int64_t>(1, static_cast<int64_t>(p.flops() / 16));  // as parallel.h counts
  const int threads = threads_for(work);
  const Rooms<Step<T>> rooms(Share<T>::room(p));
  // Panels divide the packing as well, channels do not: but a few panels do not divide evenly.
  if (panels % threads == 0 || panels >= 8 * threads)
    parallel_for(panels, work / panels + 1,
                 [&](int64_t begin, int64_t end) { Share<T>(p, dy, x, sums, 0, p.cout, rooms.own()).run(begin, end); });
  else
    parallel_for(parts, work / parts + 1, [&](int64_t begin, int64_t end) {
      Share<T>(p, dy, x, sums, begin * kLanes, end * kLanes, rooms.own()).run(0, panels);
    });
}

#endif

}  // namespace

template <class T>
bool suits(const Conv2d& p) {
  // 1×1 in float is not better here: there oneDNN's sums stay in registers as well.
  return kBuilt<T> && p.groups == 1 && p.cin % kLanes == 0 && p.cout % kLanes == 0 &&
         (p.kh * p.kw > 1 || !std::is_same_v<T, float>);
}

template <class T>
void conv2d_backward_weights(const Conv2d& p, [[maybe_unused]] const T* dy, [[maybe_unused]] const T* x,
                             [[maybe_unused]] T* dw) {
  check(suits<T>(p), "conv2d_backward_weights: internal error: this shape does not suit the tiles");
#if HOLT_TILES
  if constexpr (std::is_same_v<T, float>) {
    sum_all(p, dy, x, dw);
  } else if constexpr (kBuilt<T>) {
    const Workspace sums(Cpu{}, p.w_size() * sizeof(float));
    sum_all(p, dy, x, sums.as<float>());
    parallel_for(p.w_size(), 1,
                 [&](int64_t begin, int64_t end) { narrow(end - begin, sums.as<float>() + begin, dw + begin); });
  }
#endif
}

template bool suits<float>(const Conv2d&);
template bool suits<bf16>(const Conv2d&);
template void conv2d_backward_weights(const Conv2d&, const float*, const float*, float*);
template void conv2d_backward_weights(const Conv2d&, const bf16*, const bf16*, bf16*);

}  // namespace holt::weight_sums
