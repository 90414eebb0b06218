#include "kernels/max.h"

#include <limits>

#include "kernels/memory.h"
#include "kernels/parallel.h"

namespace holt {
namespace {

constexpr int64_t kRowChunk = 16384;  // elements of a row searched in one go; fixed, though any size gives the same
constexpr int64_t kTile = 512;        // columns searched in one go

template <class A>
struct Best {
  A value;
  int64_t index;
};

// Whether x wins over `best`, which stands before it.
template <class A>
bool better(A x, A best) {
  return x > best || (x != x && best == best);
}

// Two passes: the value in a loop that vectorises, then where it stands.
template <class T>
Best<acc_t<T>> best_of_run(int64_t n, const T* x) {
  using A = acc_t<T>;
  A m = A(x[0]);
  int any_nan = 0;
#pragma omp simd reduction(max : m) reduction(| : any_nan)
  for (int64_t k = 0; k < n; ++k) {
    const A v = A(x[k]);
    m = v > m ? v : m;
    any_nan |= v != v;
  }
  int64_t k = 0;
  if (any_nan) {
    while (A(x[k]) == A(x[k])) ++k;
    return {std::numeric_limits<A>::quiet_NaN(), k};
  }
  while (A(x[k]) != m) ++k;
  return {m, k};
}

template <class T>
void max_rows(Reduction p, const T* x, T* values, int64_t* index) {
  using A = acc_t<T>;
  const int64_t chunks = (p.reduced + kRowChunk - 1) / kRowChunk;
  const Workspace partial(Device::cpu, p.outer * chunks * sizeof(Best<A>));
  Best<A>* best = partial.as<Best<A>>();
  parallel_for(p.outer * chunks, std::min(p.reduced, kRowChunk), [=](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const int64_t first = t % chunks * kRowChunk;
      best[t] = best_of_run(std::min(kRowChunk, p.reduced - first), x + t / chunks * p.reduced + first);
      best[t].index += first;
    }
  });
  for (int64_t o = 0; o < p.outer; ++o) {
    Best<A> b = best[o * chunks];
    for (int64_t c = 1; c < chunks; ++c)
      if (better(best[o * chunks + c].value, b.value)) b = best[o * chunks + c];
    if (values) values[o] = T(b.value);
    if (index) index[o] = b.index;
  }
}

template <class T>
void max_columns(Reduction p, const T* x, T* values, int64_t* index) {
  using A = acc_t<T>;
  const int64_t tiles = (p.inner + kTile - 1) / kTile;
  parallel_for(p.outer * tiles, p.reduced * std::min(kTile, p.inner), [=](int64_t begin, int64_t end) {
    A best[kTile];
    int64_t where[kTile];
    for (int64_t t = begin; t < end; ++t) {
      const int64_t o = t / tiles, column = t % tiles * kTile, width = std::min(kTile, p.inner - column);
      const T* row = x + o * p.reduced * p.inner + column;
      for (int64_t j = 0; j < width; ++j) best[j] = A(row[j]), where[j] = 0;
      for (int64_t k = 1; k < p.reduced; ++k) {
        row += p.inner;
#pragma omp simd
        for (int64_t j = 0; j < width; ++j) {
          const A v = A(row[j]);
          const bool wins = better(v, best[j]);
          best[j] = wins ? v : best[j];
          where[j] = wins ? k : where[j];
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
    max_columns(p, x, values, index);
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
