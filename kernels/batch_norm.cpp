#include "kernels/batch_norm.h"

#include <cmath>

#include "kernels/memory.h"
#include "kernels/parallel.h"

namespace holt {
namespace {

// How [R, C] is walked. A *wide row* is as many whole rows as make a loop worth vectorising (C may be 1, 3 or 16); its
// column j belongs to channel j mod C. A *chunk* of wide rows fits in the cache nearest to the core, so that a second
// look at it is free. A *piece* of chunks is what a thread takes; pieces depend on the shape only, so that sums do not
// depend on the number of threads. Sizes are in elements.
struct Plan {
  int64_t total, channels, width, chunk, piece, pieces;
};

Plan make_plan(const BatchNorm& p) {
  constexpr int64_t kWidth = 128, kChunk = 6 * 1024, kPiece = 64 * 1024, kMaxPieces = 64;
  Plan plan;
  plan.total = p.rows * p.channels;
  plan.channels = p.channels;
  plan.width = p.channels * std::max<int64_t>(1, kWidth / p.channels);
  plan.chunk = plan.width * std::max<int64_t>(16, kChunk / plan.width);
  const int64_t chunks = (plan.total + plan.chunk - 1) / plan.chunk;
  plan.piece = plan.chunk * std::max((chunks + kMaxPieces - 1) / kMaxPieces, std::max<int64_t>(1, kPiece / plan.chunk));
  plan.pieces = (plan.total + plan.piece - 1) / plan.piece;
  return plan;
}

// f(first element, elements) for each chunk of a piece.
template <class F>
void for_chunks(const Plan& plan, int64_t piece, F&& f) {
  const int64_t end = std::min(plan.total, (piece + 1) * plan.piece);
  for (int64_t i = piece * plan.piece; i < end; i += plan.chunk) f(i, std::min(plan.chunk, end - i));
}

// f(first element, elements) for each wide row of n elements; the last one may be a part of one.
template <class F>
void for_wide_rows(int64_t n, int64_t width, F&& f) {
  for (int64_t i = 0; i < n; i += width) f(i, std::min(width, n - i));
}

// A wide row's sums, to its channels'.
template <class A>
void fold(A* wide, const Plan& plan) {
  for (int64_t j = plan.channels; j < plan.width; j += plan.channels)
#pragma omp simd
    for (int64_t c = 0; c < plan.channels; ++c) wide[c] += wide[j + c];
}

// Per-channel values, repeated for a whole wide row.
template <class A>
void repeat(A* wide, const Plan& plan) {
  for (int64_t j = plan.channels; j < plan.width; j += plan.channels) std::copy(wide, wide + plan.channels, wide + j);
}

// ---- Forward ----

// Count, mean and Σ (x − mean)² of each channel of a chunk, merged into those of the piece.
template <class T, class A>
void merge_chunk(const Plan& plan, const T* x, int64_t n, A* mean, A* m2, int64_t count, double* piece_mean,
                 double* piece_m2) {
  const int64_t width = plan.width, here = n / plan.channels;
  std::fill(mean, mean + width, A(0));
  std::fill(m2, m2 + width, A(0));
  for_wide_rows(n, width, [=](int64_t i, int64_t m) {
#pragma omp simd
    for (int64_t j = 0; j < m; ++j) mean[j] += A(x[i + j]);
  });
  fold(mean, plan);
  for (int64_t c = 0; c < plan.channels; ++c) mean[c] /= A(here);
  repeat(mean, plan);
  for_wide_rows(n, width, [=](int64_t i, int64_t m) {
#pragma omp simd
    for (int64_t j = 0; j < m; ++j) m2[j] += (A(x[i + j]) - mean[j]) * (A(x[i + j]) - mean[j]);
  });
  fold(m2, plan);
  const double share = double(here) / double(count + here), weight = double(count) * share;
#pragma omp simd
  for (int64_t c = 0; c < plan.channels; ++c) {
    const double delta = mean[c] - piece_mean[c];
    piece_mean[c] += delta * share;
    piece_m2[c] += m2[c] + delta * delta * weight;
  }
}

// Batch statistics → mean, rstd and the running ones. Pieces are visited last first: what the previous op wrote last is
// still in the cache, and so is, for the next pass, what this one reads last.
template <class T, class A>
void batch_statistics(const BatchNorm& p, const Plan& plan, const T* x, A* running_mean, A* running_var, A* mean,
                      A* rstd) {
  const int64_t C = p.channels, stride = 2 * C + 2 * plan.width;  // a piece's mean and Σ² as double, a chunk's as A
  const Workspace parts(Cpu{}, plan.pieces * stride * sizeof(double));
  parallel_for(plan.pieces, 2 * plan.piece, [&](int64_t begin, int64_t end) {
    for (int64_t k = end - 1; k >= begin; --k) {
      double *piece_mean = parts.as<double>() + k * stride, *piece_m2 = piece_mean + C;
      A *chunk_mean = reinterpret_cast<A*>(piece_m2 + C), *chunk_m2 = chunk_mean + plan.width;
      std::fill(piece_mean, piece_mean + 2 * C, 0.0);
      int64_t count = 0;
      for_chunks(plan, k, [&](int64_t i, int64_t n) {
        merge_chunk(plan, x + i, n, chunk_mean, chunk_m2, count, piece_mean, piece_m2);
        count += n / C;
      });
    }
  });
  parallel_for(C, 2 * plan.pieces, [&](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; ++c) {
      double m = 0, m2 = 0, count = 0;
      for (int64_t k = 0; k < plan.pieces; ++k) {
        const double* part = parts.as<double>() + k * stride + c;
        const double here = double(std::min(plan.piece, plan.total - k * plan.piece) / C);
        const double delta = part[0] - m, share = here / (count + here);
        m += delta * share;
        m2 += part[C] + delta * delta * count * share;
        count += here;
      }
      mean[c] = A(m);
      rstd[c] = A(1 / std::sqrt(m2 / count + p.eps));
      running_mean[c] = A((1 - p.momentum) * running_mean[c] + p.momentum * m);
      running_var[c] = A((1 - p.momentum) * running_var[c] + p.momentum * m2 / (count - 1));
    }
  });
}

template <bool Relu, bool Residual, class T, class A>
void normalize(const T* x, const T* residual, T* y, int64_t n, int64_t width, const A* mean, const A* scale,
               const A* shift) {
  for_wide_rows(n, width, [=](int64_t i, int64_t m) {
#pragma omp simd
    for (int64_t j = 0; j < m; ++j) {
      A v = (A(x[i + j]) - mean[j]) * scale[j] + shift[j];
      if (Residual) v += A(residual[i + j]);
      assign(y[i + j], Relu && v < 0 ? A(0) : v);  // written so that a NaN stays one
    }
  });
}

// ---- Backward ----

enum class Mask { none, from_y, from_x };

// What a channel contributes to the backward, each repeated for a wide row: v = (x − mean)·scale + shift was the
// forward's result before relu, and dx = scale·g − k1 − (x − mean)·k2.
template <class A>
struct Channels {
  const A *mean, *scale, *shift, *k1, *k2;
};

// g[j] of one wide row (or a part of it).
template <Mask mask, class T, class A>
void masked_gradient(const T* dy, const T* x, const T* y, const Channels<A>& ch, int64_t n, A* g) {
#pragma omp simd
  for (int64_t j = 0; j < n; ++j) {
    A v = 1;
    if (mask == Mask::from_y) v = A(y[j]);
    if (mask == Mask::from_x) v = (A(x[j]) - ch.mean[j]) * ch.scale[j] + ch.shift[j];
    g[j] = v <= 0 ? A(0) : A(dy[j]);
  }
}

template <class T, class A>
void masked_gradient(Mask mask, const T* dy, const T* x, const T* y, const Channels<A>& ch, int64_t n, A* g) {
  if (mask == Mask::none)
    masked_gradient<Mask::none>(dy, x, y, ch, n, g);
  else if (mask == Mask::from_y)
    masked_gradient<Mask::from_y>(dy, x, y, ch, n, g);
  else
    masked_gradient<Mask::from_x>(dy, x, y, ch, n, g);
}

template <class T, class A>
void store_row(T* dst, const A* src, int64_t n) {
#pragma omp simd
  for (int64_t j = 0; j < n; ++j) assign(dst[j], src[j]);
}

}  // namespace

template <class B, class T>
void batch_norm_forward(B, BatchNorm p, const T* x, const acc_t<T>* w, const acc_t<T>* b, const T* residual,
                        acc_t<T>* running_mean, acc_t<T>* running_var, T* y, acc_t<T>* mean, acc_t<T>* rstd) {
  using A = acc_t<T>;
  const Plan plan = make_plan(p);
  if (p.training) {
    batch_statistics(p, plan, x, running_mean, running_var, mean, rstd);
  } else {
    for (int64_t c = 0; c < p.channels; ++c) {
      mean[c] = running_mean[c];
      rstd[c] = 1 / std::sqrt(running_var[c] + A(p.eps));
    }
  }
  const Workspace wide(Cpu{}, 3 * plan.width * sizeof(A));
  A *mean_wide = wide.as<A>(), *scale = mean_wide + plan.width, *shift = scale + plan.width;
  for (int64_t c = 0; c < p.channels; ++c) {
    mean_wide[c] = mean[c];
    scale[c] = rstd[c] * w[c];
    shift[c] = b[c];
  }
  for (A* a : {mean_wide, scale, shift}) repeat(a, plan);
  const auto pass = p.relu ? (residual ? normalize<true, true, T, A> : normalize<true, false, T, A>)
                           : (residual ? normalize<false, true, T, A> : normalize<false, false, T, A>);
  parallel_for(plan.pieces, plan.piece, [&](int64_t begin, int64_t end) {
    const int64_t first = begin * plan.piece, last = std::min(plan.total, end * plan.piece);
    pass(x + first, residual ? residual + first : nullptr, y + first, last - first, plan.width, mean_wide, scale,
         shift);
  });
}

template <class B, class T>
void batch_norm_backward(B, BatchNorm p, const T* dy, const T* x, const T* y, const acc_t<T>* w, const acc_t<T>* b,
                         const acc_t<T>* mean, const acc_t<T>* rstd, T* dx, acc_t<T>* dw, acc_t<T>* db, T* dresidual) {
  using A = acc_t<T>;
  const Plan plan = make_plan(p);
  const int64_t C = p.channels, W = plan.width;
  const Mask mask = !p.relu ? Mask::none : y ? Mask::from_y : Mask::from_x;
  const bool sums = dw || db || (dx && p.training), dx_needs_sums = dx && p.training;

  const Workspace wide(Cpu{}, 5 * W * sizeof(A));
  A *mean_wide = wide.as<A>(), *scale = mean_wide + W, *shift = scale + W, *k1 = shift + W, *k2 = k1 + W;
  for (int64_t c = 0; c < C; ++c) {
    mean_wide[c] = mean[c];
    scale[c] = rstd[c] * w[c];
    shift[c] = b ? b[c] : A(0);
  }
  for (A* a : {mean_wide, scale, shift}) repeat(a, plan);
  const Channels<A> ch{mean_wide, scale, shift, k1, k2};

  // Pass 1: g, and with it all that needs no sums. A piece keeps Σ g and Σ g·(x − mean) as double, and as A those of
  // the chunk and one row of g.
  const int64_t stride = 2 * C + 3 * W;
  const Workspace parts(Cpu{}, plan.pieces * stride * sizeof(double));
  const auto at = [](auto* q, int64_t i) { return q ? q + i : nullptr; };
  if (sums || dresidual || (dx && !p.training))
    parallel_for(plan.pieces, 3 * plan.piece, [&](int64_t begin, int64_t end) {
      for (int64_t k = end - 1; k >= begin; --k) {
        double* piece_sums = parts.as<double>() + k * stride;
        A *g_sum = reinterpret_cast<A*>(piece_sums + 2 * C), *gx_sum = g_sum + W, *g = gx_sum + W;
        std::fill(piece_sums, piece_sums + 2 * C, 0.0);
        for_chunks(plan, k, [&](int64_t first, int64_t n) {
          std::fill(g_sum, g_sum + 2 * W, A(0));
          for_wide_rows(n, W, [&](int64_t i, int64_t m) {
            const T* xr = at(x, first + i);
            masked_gradient(mask, dy + first + i, xr, at(y, first + i), ch, m, g);
            if (dresidual) store_row(dresidual + first + i, g, m);
            if (dx && !p.training) {
              T* dxr = dx + first + i;
#pragma omp simd
              for (int64_t j = 0; j < m; ++j) assign(dxr[j], g[j] * scale[j]);
            }
            if (!sums) return;
#pragma omp simd
            for (int64_t j = 0; j < m; ++j) g_sum[j] += g[j];
            if (!xr) return;
#pragma omp simd
            for (int64_t j = 0; j < m; ++j) gx_sum[j] += g[j] * (A(xr[j]) - mean_wide[j]);
          });
          fold(g_sum, plan);
          fold(gx_sum, plan);
#pragma omp simd
          for (int64_t c = 0; c < C; ++c) {
            piece_sums[c] += g_sum[c];
            piece_sums[C + c] += gx_sum[c];
          }
        });
      }
    });
  if (!sums) return;

  parallel_for(C, plan.pieces, [&](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; ++c) {
      double g = 0, gx = 0;
      for (int64_t k = 0; k < plan.pieces; ++k) {
        g += parts.as<double>()[k * stride + c];
        gx += parts.as<double>()[k * stride + C + c];
      }
      if (db) db[c] = A(g);
      if (dw) dw[c] = A(gx * rstd[c]);
      k1[c] = A(scale[c] * g / p.rows);
      k2[c] = A(scale[c] * gx * rstd[c] * rstd[c] / p.rows);
    }
  });
  if (!dx_needs_sums) return;

  // Pass 2: dx. Pass 1 may have left g in dresidual; then there is no mask to look at.
  for (A* a : {k1, k2}) repeat(a, plan);
  const T* source = dresidual ? dresidual : dy;
  const Mask mask2 = dresidual ? Mask::none : mask;
  parallel_for(plan.pieces, 3 * plan.piece, [&](int64_t begin, int64_t end) {
    A* g = reinterpret_cast<A*>(parts.as<double>() + begin * stride);
    const int64_t from = begin * plan.piece;
    for_wide_rows(std::min(plan.total, end * plan.piece) - from, W, [&](int64_t i, int64_t m) {
      const T* xr = x + from + i;
      T* dxr = dx + from + i;
      masked_gradient(mask2, source + from + i, xr, at(y, from + i), ch, m, g);
#pragma omp simd
      for (int64_t j = 0; j < m; ++j) assign(dxr[j], scale[j] * g[j] - k1[j] - (A(xr[j]) - mean_wide[j]) * k2[j]);
    });
  });
}

#define INSTANTIATE(T)                                                                                              \
  template void batch_norm_forward(Cpu, BatchNorm, const T*, const acc_t<T>*, const acc_t<T>*, const T*, acc_t<T>*, \
                                   acc_t<T>*, T*, acc_t<T>*, acc_t<T>*);                                            \
  template void batch_norm_backward(Cpu, BatchNorm, const T*, const T*, const T*, const acc_t<T>*, const acc_t<T>*, \
                                    const acc_t<T>*, const acc_t<T>*, T*, acc_t<T>*, acc_t<T>*, T*);
INSTANTIATE(float)
INSTANTIATE(bf16)
INSTANTIATE(f16)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace holt
