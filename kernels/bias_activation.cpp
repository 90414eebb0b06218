#include "kernels/bias_activation.h"

#include <algorithm>

#include "kernels/brief.h"
#include "kernels/memory.h"
#include "kernels/narrow.h"
#include "kernels/parallel.h"

namespace holt {
namespace {

// The slope of one of unary.h's functions, and of vectors where brief.h has it for bf16.
template <class F>
struct SlopeOf {
  F f;
  template <class A>
  A operator()(A s) const {
    return f.slope(s);
  }
  lanes::Vec operator()(lanes::Vec s) const requires brief::has_slope<F> { return brief::slope(f, s); }
};

// dpre of rows [begin, end); adds to db. One of them may be null. `slope` is known when this is compiled: the loops
// become vector code.
template <class T, class Slope>
void rows(const BiasActivation& p, int64_t begin, int64_t end, const T* dy, const T* saved, T* dpre, acc_t<T>* db,
          Slope slope) {
  using A = acc_t<T>;
  for (int64_t r = begin; r < end; ++r)
    in_blocks<T>(0, p.cols, [&](int64_t c, int64_t m, auto& buffer) {
      const int64_t first = r * p.cols + c;
      A* sum = db ? db + c : nullptr;
      const T *dy_c = dy + first, *saved_c = saved ? saved + first : dy_c;
      if constexpr (std::is_same_v<T, bf16> && std::is_invocable_v<Slope, lanes::Vec>) {
        lanes::map(
            m, buffer[0], [=](lanes::Vec g, lanes::Vec s) { return g * slope(s); }, dy_c, saved_c);
        if (db)
#pragma omp simd
          for (int64_t k = 0; k < m; ++k) sum[k] += buffer[0][k];
        if (dpre) narrow(m, buffer[0], dpre + first);
        return;
      }
      if (!dpre) {  // nothing to round: sums straight from T
#pragma omp simd
        for (int64_t k = 0; k < m; ++k) sum[k] += A(dy_c[k]) * slope(A(saved_c[k]));
        return;
      }
      const A *g = widen(m, dy_c, buffer[0]), *s = saved ? widen(m, saved_c, buffer[1]) : g;
      A* out = room(dpre + first, buffer[0]);
      if (db) {
#pragma omp simd
        for (int64_t k = 0; k < m; ++k) {
          const A d = g[k] * slope(s[k]);
          sum[k] += d;
          out[k] = d;
        }
      } else {
#pragma omp simd
        for (int64_t k = 0; k < m; ++k) out[k] = g[k] * slope(s[k]);
      }
      narrow(m, out, dpre + first);
    });
}

template <class T, class Slope>
void backward(const BiasActivation& p, int64_t cost, const T* dy, const T* saved, T* dpre, T* db, Slope slope) {
  using A = acc_t<T>;
  if (!dpre && !db) return;
  // Rows that are summed apart: a fixed share, so that the sum does not depend on the number of threads; enough of them
  // that the partial sums are few.
  const int64_t rows_per_chunk = std::max<int64_t>(64, 32768 / std::max<int64_t>(p.cols, 1));
  const int64_t chunks = (p.rows + rows_per_chunk - 1) / rows_per_chunk;
  const Workspace partial(Device::cpu, db ? chunks * p.cols * sizeof(A) : 0);  // [chunks][cols]
  parallel_for(chunks, rows_per_chunk * p.cols * cost, [&](int64_t first, int64_t last) {
    for (int64_t k = first; k < last; ++k) {
      A* sum = db ? partial.as<A>() + k * p.cols : nullptr;
      if (db) std::fill_n(sum, p.cols, A(0));
      rows(p, k * rows_per_chunk, std::min(p.rows, (k + 1) * rows_per_chunk), dy, saved, dpre, sum, slope);
    }
  });
  if (!db) return;
  parallel_for(p.cols, chunks, [&](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; ++c) {
      A sum = 0;
      for (int64_t k = 0; k < chunks; ++k) sum += partial.as<A>()[k * p.cols + c];
      db[c] = T(sum);
    }
  });
}

}  // namespace

template <class B, class T>
void bias_activation_backward(B, BiasActivation p, const T* dy, const T* saved, T* dpre, T* db) {
  using A = acc_t<T>;
  switch (p.activation) {
    case Activation::none:
      return backward(p, 1, dy, saved, dpre, db, [](A) { return A(1); });
    case Activation::relu:
      return backward(p, 1, dy, saved, dpre, db, [](A s) { return s > 0 ? A(1) : A(0); });
    case Activation::gelu:
      return backward(p, 8, dy, saved, dpre, db, SlopeOf<GeluExact>{});
    case Activation::gelu_tanh:
      return backward(p, 8, dy, saved, dpre, db, SlopeOf<GeluTanh>{});
    case Activation::silu:
    case Activation::quick_gelu:
      return backward(p, 8, dy, saved, dpre, db, SlopeOf<Swish<A>>{swish_of<A>(p.activation)});
  }
}

#define INSTANTIATE(T) template void bias_activation_backward(Cpu, BiasActivation, const T*, const T*, T*, T*);
INSTANTIATE(float)
INSTANTIATE(bf16)
INSTANTIATE(f16)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace holt
