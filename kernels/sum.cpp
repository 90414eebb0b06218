#include "kernels/sum.h"

#include "kernels/memory.h"
#include "kernels/parallel.h"

namespace holt {
namespace {

constexpr int64_t kRowChunk = 8192;    // elements of a row summed in one go
constexpr int64_t kTile = 1024;        // columns summed in one go: their sums stay in the first-level cache
constexpr int64_t kColumnChunk = 256;  // wide rows (below) summed in one go

// Σ x[0 … n): 64 sums side by side, then those in pairs.
template <class T>
acc_t<T> sum_run(int64_t n, const T* x) {
  using A = acc_t<T>;
  constexpr int64_t kLanes = 64, kShort = 16;
  A total = 0;
  if (n < kShort) {  // no vector to fill
    for (int64_t k = 0; k < n; ++k) total += A(x[k]);
    return total;
  }
  int64_t i = 0;
  if (n >= kLanes) {
    A lanes[kLanes] = {};
    for (; i + kLanes <= n; i += kLanes)
#pragma omp simd
      for (int64_t l = 0; l < kLanes; ++l) lanes[l] += A(x[i + l]);
    for (int64_t half = kLanes / 2; half > 0; half /= 2)
      for (int64_t l = 0; l < half; ++l) lanes[l] += lanes[l + half];
    total = lanes[0];
  }
  A rest = 0;
#pragma omp simd reduction(+ : rest)
  for (int64_t k = i; k < n; ++k) rest += A(x[k]);
  return total + rest;
}

// sums[0 … width) = Σ over `rows` rows, `stride` apart, of x[0 … width).
template <class T, class A>
void sum_columns(int64_t rows, int64_t stride, int64_t width, const T* x, A* sums) {
  std::fill(sums, sums + width, A(0));
  int64_t r = 0;
  for (; r + 4 <= rows; r += 4, x += 4 * stride)
#pragma omp simd
    for (int64_t j = 0; j < width; ++j)
      sums[j] += (A(x[j]) + A(x[j + stride])) + (A(x[j + 2 * stride]) + A(x[j + 3 * stride]));
  for (; r < rows; ++r, x += stride)
#pragma omp simd
    for (int64_t j = 0; j < width; ++j) sums[j] += A(x[j]);
}

// y[o,i] = scale·Σ_c partial[o,c,i].
template <class A>
void add_partial(int64_t outer, int64_t chunks, int64_t inner, double scale, const A* partial, A* y) {
  parallel_for(outer * inner, chunks, [=](int64_t begin, int64_t end) {
    for (int64_t j = begin; j < end; ++j) {
      const A* p = partial + j / inner * chunks * inner + j % inner;
      double total = 0;
      for (int64_t c = 0; c < chunks; ++c) total += p[c * inner];
      y[j] = A(scale * total);
    }
  });
}

template <class T>
void sum_rows(Reduction p, double scale, const T* x, acc_t<T>* y) {
  using A = acc_t<T>;
  const int64_t chunks = (p.reduced + kRowChunk - 1) / kRowChunk;
  const Workspace partial(Device::cpu, chunks > 1 ? p.outer * chunks * sizeof(A) : 0);
  A* sums = partial.as<A>();
  parallel_for(p.outer * chunks, std::min(p.reduced, kRowChunk), [=](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      if (chunks == 1) {
        y[t] = A(scale * sum_run(p.reduced, x + t * p.reduced));
        continue;
      }
      const int64_t first = t % chunks * kRowChunk;
      sums[t] = sum_run(std::min(kRowChunk, p.reduced - first), x + t / chunks * p.reduced + first);
    }
  });
  if (chunks > 1) add_partial(p.outer, chunks, 1, scale, sums, y);
}

// Rows of few columns are taken `group` at a time as one wide row, so that vector registers are full.
template <class T>
void sum_wide(Reduction p, double scale, const T* x, acc_t<T>* y) {
  using A = acc_t<T>;
  const int64_t group = std::max<int64_t>(1, std::min(256 / p.inner, p.reduced)), chunk = group * kColumnChunk;
  const int64_t chunks = (p.reduced + chunk - 1) / chunk, tiles = (p.inner + kTile - 1) / kTile;
  const Workspace partial(Device::cpu, p.outer * chunks * p.inner * sizeof(A));
  A* sums = partial.as<A>();
  const int64_t work = std::min(chunk, p.reduced) * std::min(kTile, p.inner);
  parallel_for(p.outer * chunks * tiles, work, [=](int64_t begin, int64_t end) {
    A wide[kTile];
    for (int64_t t = begin; t < end; ++t) {
      const int64_t c = t / tiles % chunks, o = t / tiles / chunks, column = t % tiles * kTile;
      const int64_t width = std::min(kTile, p.inner - column), rows = std::min(chunk, p.reduced - c * chunk);
      const T* first = x + (o * p.reduced + c * chunk) * p.inner + column;
      A* out = sums + (o * chunks + c) * p.inner + column;
      sum_columns(rows / group, group * p.inner, group * width, first, wide);
      std::copy(wide, wide + width, out);
      for (int64_t g = 1; g < group; ++g)
        for (int64_t j = 0; j < width; ++j) out[j] += wide[g * width + j];
      for (int64_t r = rows / group * group; r < rows; ++r)
        for (int64_t j = 0; j < width; ++j) out[j] += A(first[r * p.inner + j]);
    }
  });
  add_partial(p.outer, chunks, p.inner, scale, sums, y);
}

}  // namespace

template <class B, class T>
void sum(B, Reduction p, double scale, const T* x, acc_t<T>* y) {
  if (p.reduced == 0)
    std::fill(y, y + p.outer * p.inner, acc_t<T>(0));
  else if (p.inner == 1)
    sum_rows(p, scale, x, y);
  else if (p.inner > 0)
    sum_wide(p, scale, x, y);
}

template <class B, class T>
void sum_backward(B, Reduction p, double scale, const acc_t<T>* dy, T* dx) {
  using A = acc_t<T>;
  parallel_for(p.outer * p.reduced, p.inner, [=, s = A(scale)](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const A* from = dy + r / p.reduced * p.inner;
      T* to = dx + r * p.inner;
      if (p.inner == 1) {  // the same value until the next row of dy
        const int64_t last = std::min(end, (r / p.reduced + 1) * p.reduced);
        std::fill(to, to + (last - r), T(s * *from));
        r = last - 1;
        continue;
      }
#pragma omp simd
      for (int64_t i = 0; i < p.inner; ++i) assign(to[i], s * from[i]);
    }
  });
}

#define INSTANTIATE(T)                                            \
  template void sum(Cpu, Reduction, double, const T*, acc_t<T>*); \
  template void sum_backward(Cpu, Reduction, double, const acc_t<T>*, T*);
INSTANTIATE(float)
INSTANTIATE(bf16)
INSTANTIATE(f16)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace holt
