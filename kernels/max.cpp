#include "kernels/max.h"

#include <limits>

#include "kernels/memory.h"
#include "kernels/parallel.h"

namespace holt {
namespace {

constexpr int64_t kRowChunk = 16384;  // elements of a row searched in one go; fixed, though any size gives the same
constexpr int64_t kTile = 2048;       // columns searched in one go

template <class A>
struct Best {
  A value;
  int64_t index;
};

// Whether x wins over `best`, which stands before it.
template <class A>
bool better(A x, A best) {
  return (x > best) | ((x != x) & (best == best));
}

// The first k with is(x[k]); there is one.
template <class T, class F>
int64_t find(int64_t n, const T* x, F is) {
  constexpr int64_t kBlock = 64;
  int64_t k = 0;
  for (; k + kBlock <= n; k += kBlock) {
    int hit = 0;
#pragma omp simd reduction(| : hit)
    for (int64_t l = 0; l < kBlock; ++l) hit |= is(acc_t<T>(x[k + l]));
    if (hit) break;
  }
  while (!is(acc_t<T>(x[k]))) ++k;
  return k;
}

// Two passes: the value in a loop that vectorises, then where it stands. One pass where there is no vector to fill.
template <class T>
Best<acc_t<T>> best_of_run(int64_t n, const T* x) {
  using A = acc_t<T>;
  A m = A(x[0]);
  if (n < 32) {
    int64_t where = 0;
    for (int64_t k = 1; k < n; ++k)
      if (const A v = A(x[k]); better(v, m)) m = v, where = k;
    return {m, where};
  }
  int any_nan = 0;
#pragma omp simd reduction(max : m) reduction(| : any_nan)
  for (int64_t k = 0; k < n; ++k) {
    const A v = A(x[k]);
    m = v > m ? v : m;
    any_nan |= v != v;
  }
  if (any_nan) return {std::numeric_limits<A>::quiet_NaN(), find(n, x, [](A v) { return v != v; })};
  return {m, find(n, x, [m](A v) { return v == m; })};
}

template <class T>
void max_rows(Reduction p, const T* x, T* values, int64_t* index) {
  using A = acc_t<T>;
  const int64_t chunks = (p.reduced + kRowChunk - 1) / kRowChunk;
  const Workspace partial(Device::cpu, chunks > 1 ? p.outer * chunks * sizeof(Best<A>) : 0);
  Best<A>* best = partial.as<Best<A>>();
  const auto finish = [=](int64_t o, const Best<A>& b) {
    if (values) values[o] = T(b.value);
    if (index) index[o] = b.index;
  };
  parallel_for(p.outer * chunks, std::min(p.reduced, kRowChunk), [=](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      if (chunks == 1) {
        finish(t, best_of_run(p.reduced, x + t * p.reduced));
        continue;
      }
      const int64_t first = t % chunks * kRowChunk;
      best[t] = best_of_run(std::min(kRowChunk, p.reduced - first), x + t / chunks * p.reduced + first);
      best[t].index += first;
    }
  });
  for (int64_t o = 0; chunks > 1 && o < p.outer; ++o) {
    Best<A> b = best[o * chunks];
    for (int64_t c = 1; c < chunks; ++c)
      if (better(best[o * chunks + c].value, b.value)) b = best[o * chunks + c];
    finish(o, b);
  }
}

// I: a type that holds p.reduced; the narrower, the fewer bytes go in and out of the first-level cache.
template <class I, class T>
void max_columns(Reduction p, const T* x, T* values, int64_t* index) {
  using A = acc_t<T>;
  const int64_t tiles = (p.inner + kTile - 1) / kTile;
  parallel_for(p.outer * tiles, p.reduced * std::min(kTile, p.inner), [=](int64_t begin, int64_t end) {
    A best[kTile];
    I where[kTile];
    for (int64_t t = begin; t < end; ++t) {
      const int64_t o = t / tiles, column = t % tiles * kTile, width = std::min(kTile, p.inner - column);
      const T* row = x + o * p.reduced * p.inner + column;
      for (int64_t j = 0; j < width; ++j) best[j] = A(row[j]), where[j] = 0;
      for (I k = 1; k < static_cast<I>(p.reduced); ++k) {
        row += p.inner;
#pragma omp simd
        for (int64_t j = 0; j < width; ++j) {
          const A v = A(row[j]), b = best[j];
          const I w = where[j];
          const bool wins = better(v, b);
          best[j] = wins ? v : b;
          where[j] = wins ? k : w;
        }
      }
      for (int64_t j = 0; j < width; ++j) {
        if (values) values[o * p.inner + column + j] = T(best[j]);
        if (index) index[o * p.inner + column + j] = where[j];
      }
    }
  });
}

}  // namespace

template <class B, class T>
void max_forward(B, Reduction p, const T* x, T* values, int64_t* index) {
  if (p.inner == 1)
    max_rows(p, x, values, index);
  else if (p.inner > 0)
    p.reduced <= std::numeric_limits<int32_t>::max() ? max_columns<int32_t>(p, x, values, index)
                                                     : max_columns<int64_t>(p, x, values, index);
}

template <class B, class T>
void max_backward(B, Reduction p, const T* dy, const int64_t* index, T* dx) {
  parallel_for(p.outer, p.reduced * p.inner, [=](int64_t begin, int64_t end) {
    std::fill(dx + begin * p.reduced * p.inner, dx + end * p.reduced * p.inner, T(0.0f));
    for (int64_t j = begin * p.inner; j < end * p.inner; ++j)
      dx[(j / p.inner * p.reduced + index[j]) * p.inner + j % p.inner] = dy[j];
  });
}

#define INSTANTIATE(T)                                               \
  template void max_forward(Cpu, Reduction, const T*, T*, int64_t*); \
  template void max_backward(Cpu, Reduction, const T*, const int64_t*, T*);
INSTANTIATE(float)
INSTANTIATE(bf16)
INSTANTIATE(f16)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace holt
