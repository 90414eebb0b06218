#include "kernels/layer_norm.h"

#include <cmath>

#include "kernels/memory.h"
#include "kernels/parallel.h"

namespace holt {

template <class B, class T>
void layer_norm_forward(B, LayerNorm p, const T* x, const T* w, const T* b, T* y, acc_t<T>* mean, acc_t<T>* rstd) {
  using A = acc_t<T>;
  parallel_for(p.rows, 4 * p.cols, [=](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const T* xr = x + r * p.cols;
      T* yr = y + r * p.cols;
      A sum = 0, squares = 0;
#pragma omp simd reduction(+ : sum)
      for (int64_t c = 0; c < p.cols; ++c) sum += A(xr[c]);
      const A m = sum / A(p.cols);
#pragma omp simd reduction(+ : squares)
      for (int64_t c = 0; c < p.cols; ++c) squares += (A(xr[c]) - m) * (A(xr[c]) - m);
      const A s = 1 / std::sqrt(squares / A(p.cols) + A(p.eps));
#pragma omp simd
      for (int64_t c = 0; c < p.cols; ++c) yr[c] = T((A(xr[c]) - m) * s * A(w[c]) + A(b[c]));
      mean[r] = m;
      rstd[r] = s;
    }
  });
}

namespace {

// Rows whose dw and db are summed by one thread. Fixed, so that the sums do not depend on how many threads there are.
constexpr int64_t kRowsPerChunk = 64;

// dx of rows [begin, end); adds their share to dw and db (both may be null).
template <class T, class A>
void backward_rows(const LayerNorm& p, int64_t begin, int64_t end, const T* dy, const T* x, const T* w, const A* mean,
                   const A* rstd, T* dx, A* dw, A* db) {
  for (int64_t r = begin; r < end; ++r) {
    const T *dyr = dy + r * p.cols, *xr = x + r * p.cols;
    const A m = mean[r], s = rstd[r];
    if (dw)
#pragma omp simd
      for (int64_t c = 0; c < p.cols; ++c) dw[c] += A(dyr[c]) * (A(xr[c]) - m) * s;
    if (db)
#pragma omp simd
      for (int64_t c = 0; c < p.cols; ++c) db[c] += A(dyr[c]);
    if (!dx) continue;
    A g_sum = 0, gx_sum = 0;
#pragma omp simd reduction(+ : g_sum, gx_sum)
    for (int64_t c = 0; c < p.cols; ++c) {
      const A g = A(dyr[c]) * A(w[c]);
      g_sum += g;
      gx_sum += g * (A(xr[c]) - m) * s;
    }
    const A g_mean = g_sum / A(p.cols), gx_mean = gx_sum / A(p.cols);
    T* dxr = dx + r * p.cols;
#pragma omp simd
    for (int64_t c = 0; c < p.cols; ++c) dxr[c] = T(s * (A(dyr[c]) * A(w[c]) - g_mean - (A(xr[c]) - m) * s * gx_mean));
  }
}

}  // namespace

template <class B, class T>
void layer_norm_backward(B, LayerNorm p, const T* dy, const T* x, const T* w, const acc_t<T>* mean,
                         const acc_t<T>* rstd, T* dx, T* dw, T* db) {
  using A = acc_t<T>;
  const int64_t chunks = (p.rows + kRowsPerChunk - 1) / kRowsPerChunk;
  const bool sums = dw || db;
  const Workspace partial(Device::cpu, sums ? 2 * chunks * p.cols * sizeof(A) : 0);  // [chunks][dw, db][cols]
  parallel_for(chunks, kRowsPerChunk * 6 * p.cols, [&](int64_t first, int64_t last) {
    for (int64_t k = first; k < last; ++k) {
      A* dwk = sums ? partial.as<A>() + 2 * k * p.cols : nullptr;
      A* dbk = sums ? dwk + p.cols : nullptr;
      if (sums) std::fill(dwk, dwk + 2 * p.cols, A(0));
      backward_rows(p, k * kRowsPerChunk, std::min(p.rows, (k + 1) * kRowsPerChunk), dy, x, w, mean, rstd, dx,
                    dw ? dwk : nullptr, db ? dbk : nullptr);
    }
  });
  for (T* out : {dw, db}) {
    if (!out) continue;
    const A* part = partial.as<A>() + (out == dw ? 0 : p.cols);
    parallel_for(p.cols, chunks, [&](int64_t begin, int64_t end) {
      for (int64_t c = begin; c < end; ++c) {
        A sum = 0;
        for (int64_t k = 0; k < chunks; ++k) sum += part[2 * k * p.cols + c];
        out[c] = T(sum);
      }
    });
  }
}

#define INSTANTIATE(T)                                                                                              \
  template void layer_norm_forward(Cpu, LayerNorm, const T*, const T*, const T*, T*, acc_t<T>*, acc_t<T>*);         \
  template void layer_norm_backward(Cpu, LayerNorm, const T*, const T*, const T*, const acc_t<T>*, const acc_t<T>*, \
                                    T*, T*, T*);
INSTANTIATE(float)
INSTANTIATE(bf16)
INSTANTIATE(f16)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace holt
