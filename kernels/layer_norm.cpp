#include "kernels/layer_norm.h"

#include <cmath>

#include "kernels/memory.h"
#include "kernels/narrow.h"
#include "kernels/parallel.h"

namespace holt {

template <class B, class T>
void layer_norm_forward(B, LayerNorm p, const T* x, const T* residual, const acc_t<T>* w, const acc_t<T>* b, T* sum_out,
                        T* y, acc_t<T>* mean, acc_t<T>* rstd) {
  using A = acc_t<T>;
  const int64_t C = p.cols;
  for_rows<T, 2>(p.rows, C, 4 * C, [=](int64_t r, auto& buffer) {
    const A* xr = widen(C, x + r * C, buffer[0]);
    if (residual) {
      const A* const add = widen(C, residual + r * C, buffer[1]);
      A* const total = room(sum_out + r * C, buffer[1]);
#pragma omp simd
      for (int64_t c = 0; c < C; ++c) total[c] = xr[c] + add[c];
      narrow(C, total, sum_out + r * C);
      xr = widen(C, sum_out + r * C, buffer[0]);
    }
    A* yr = room(y + r * C, buffer[0]);
    A sum = 0, squares = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t c = 0; c < C; ++c) sum += xr[c];
    const A m = sum / A(C);
#pragma omp simd reduction(+ : squares)
    for (int64_t c = 0; c < C; ++c) squares += (xr[c] - m) * (xr[c] - m);
    const A s = 1 / std::sqrt(squares / A(C) + A(p.eps));
#pragma omp simd
    for (int64_t c = 0; c < C; ++c) yr[c] = (xr[c] - m) * s * w[c] + b[c];
    narrow(C, yr, y + r * C);
    mean[r] = m;
    rstd[r] = s;
  });
}

namespace {

// Rows whose dw and db are summed by one thread. Fixed, so that the sums do not depend on how many threads there are.
constexpr int64_t kRowsPerChunk = 64;

// One row: adds its share to dw and db (Sums), writes dx (Dx). dx may be dy.
template <bool Sums, bool Dx, class A>
void backward_row(int64_t C, const A* dy, const A* x, const A* w, A m, A s, A* dx, A* dw, A* db) {
  A g_sum = 0, gx_sum = 0;
#pragma omp simd reduction(+ : g_sum, gx_sum)
  for (int64_t c = 0; c < C; ++c) {
    const A normal = (x[c] - m) * s, g = Dx ? dy[c] * w[c] : A(0);
    if (Sums) {
      dw[c] += dy[c] * normal;
      db[c] += dy[c];
    }
    g_sum += g;
    gx_sum += g * normal;
  }
  if (!Dx) return;
  const A g_mean = g_sum / A(C), gx_mean = gx_sum / A(C);
#pragma omp simd
  for (int64_t c = 0; c < C; ++c) dx[c] = s * (dy[c] * w[c] - g_mean - (x[c] - m) * s * gx_mean);
}

}  // namespace

template <class B, class T>
void layer_norm_backward(B, LayerNorm p, const T* dy, const T* x, const acc_t<T>* w, const acc_t<T>* mean,
                         const acc_t<T>* rstd, const T* dsum, T* dx, acc_t<T>* dw, acc_t<T>* db) {
  using A = acc_t<T>;
  const int64_t C = p.cols;
  const int64_t chunks = (p.rows + kRowsPerChunk - 1) / kRowsPerChunk;
  const bool sums = dw || db;
  if (!sums && !dx) return;
  const Workspace partial(Device::cpu, sums ? 2 * chunks * C * sizeof(A) : 0);  // [chunks][dw, db][cols]
  const auto row = !dx    ? backward_row<true, false, A>
                   : sums ? backward_row<true, true, A>
                          : backward_row<false, true, A>;
  for_rows<T, 3>(chunks, C, kRowsPerChunk * 6 * C, [&](int64_t k, auto& buffer) {
    A* dwk = sums ? partial.as<A>() + 2 * k * C : nullptr;
    A* dbk = sums ? dwk + C : nullptr;
    if (sums) std::fill(dwk, dwk + 2 * C, A(0));
    for (int64_t r = k * kRowsPerChunk; r < std::min(p.rows, (k + 1) * kRowsPerChunk); ++r) {
      const A *dyr = widen(C, dy + r * C, buffer[0]), *xr = widen(C, x + r * C, buffer[1]);
      A* dxr = dx ? room(dx + r * C, buffer[0]) : nullptr;
      row(C, dyr, xr, w, mean[r], rstd[r], dxr, dwk, dbk);
      if (!dx) continue;
      if (dsum) {
        const A* const add = widen(C, dsum + r * C, buffer[2]);
#pragma omp simd
        for (int64_t c = 0; c < C; ++c) dxr[c] += add[c];
      }
      narrow(C, dxr, dx + r * C);
    }
  });
  for (A* out : {dw, db}) {
    if (!out) continue;
    const A* part = partial.as<A>() + (out == dw ? 0 : p.cols);
    parallel_for(p.cols, chunks, [&](int64_t begin, int64_t end) {
      for (int64_t c = begin; c < end; ++c) {
        A sum = 0;
        for (int64_t k = 0; k < chunks; ++k) sum += part[2 * k * p.cols + c];
        out[c] = sum;
      }
    });
  }
}

#define INSTANTIATE(T)                                                                                           \
  template void layer_norm_forward(Cpu, LayerNorm, const T*, const T*, const acc_t<T>*, const acc_t<T>*, T*, T*, \
                                   acc_t<T>*, acc_t<T>*);                                                        \
  template void layer_norm_backward(Cpu, LayerNorm, const T*, const T*, const acc_t<T>*, const acc_t<T>*,        \
                                    const acc_t<T>*, const T*, T*, acc_t<T>*, acc_t<T>*);
INSTANTIATE(float)
INSTANTIATE(bf16)
INSTANTIATE(f16)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace holt
