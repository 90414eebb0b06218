#include "kernels/batch_norm.h"

#include <cmath>
#include <type_traits>

#include "kernels/memory.h"
#include "kernels/narrow.h"
#include "kernels/parallel.h"

namespace holt {
namespace {

// How [R, C] is walked. A *wide row* is as many whole rows as make a loop worth vectorising (C may be 1, 3 or 16); its
// column j belongs to channel j mod C. A *chunk* of wide rows is small enough to be looked at twice at the price of
// once, and is cut into *tiles* of kColumns columns, whose sums and constants stay in the cache nearest to the core. A
// *piece* of chunks is what a thread takes; pieces depend on the shape only, so that sums do not depend on the number
// of threads. Sizes are in elements.
constexpr int64_t kColumns = 2048;

struct Plan {
  int64_t total, channels, width, chunk, piece, pieces;
};

Plan make_plan(const BatchNorm& p) {
  constexpr int64_t kWidth = 128, kChunk = 6 * 1024, kPiece = 64 * 1024, kMaxPieces = 64;
  Plan plan;
  plan.total = p.rows * p.channels;
  plan.channels = p.channels;
  plan.width = p.channels * std::max<int64_t>(1, kWidth / p.channels);
  plan.chunk = plan.width * std::max<int64_t>(32, kChunk / plan.width);
  const int64_t chunks = (plan.total + plan.chunk - 1) / plan.chunk;
  plan.piece = plan.chunk * std::max((chunks + kMaxPieces - 1) / kMaxPieces, std::max<int64_t>(1, kPiece / plan.chunk));
  plan.pieces = (plan.total + plan.piece - 1) / plan.piece;
  return plan;
}

// Columns [column, column + columns) of the wide rows in elements [first, end). Only the last wide row of all may be a
// part of one, and only if wide rows are made of several rows; then there is one tile across.
struct Tile {
  int64_t first, end, column, columns, width;

  // f(first element, elements) for each row of the tile.
  template <class F>
  void for_rows(F&& f) const {
    for (int64_t i = first + column; i < end; i += width) f(i, std::min(columns, end - i));
  }
};

// f(tile) for each tile of a piece.
template <class F>
void for_tiles(const Plan& plan, int64_t piece, F&& f) {
  const int64_t end = std::min(plan.total, (piece + 1) * plan.piece);
  for (int64_t i = piece * plan.piece; i < end; i += plan.chunk)
    for (int64_t j = 0; j < plan.width; j += kColumns)
      f(Tile{i, std::min(end, i + plan.chunk), j, std::min(kColumns, plan.width - j), plan.width});
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

// f(std::true_type or std::false_type): a run-time choice as a constant, so that inner loops have no branch.
template <class F>
void choose(bool condition, F&& f) {
  condition ? f(std::true_type{}) : f(std::false_type{});
}

// ---- Forward ----

// Count, mean and Σ (x − mean)² of each channel of a tile, merged into those of the piece, which holds `count` rows.
template <class T, class A>
void merge_tile(const Plan& plan, const Tile& tile, const T* x, int64_t count, double* piece_mean, double* piece_m2) {
  A mean[kColumns], m2[kColumns];
  std::fill(mean, mean + tile.columns, A(0));
  std::fill(m2, m2 + tile.columns, A(0));
  const int64_t here = (tile.end - tile.first) / plan.channels, channels = std::min(tile.columns, plan.channels);
  tile.for_rows([&](int64_t i, int64_t m) {
#pragma omp simd
    for (int64_t j = 0; j < m; ++j) mean[j] += A(x[i + j]);
  });
  fold(mean, plan);
  for (int64_t c = 0; c < channels; ++c) mean[c] /= A(here);
  repeat(mean, plan);
  tile.for_rows([&](int64_t i, int64_t m) {
#pragma omp simd
    for (int64_t j = 0; j < m; ++j) m2[j] += (A(x[i + j]) - mean[j]) * (A(x[i + j]) - mean[j]);
  });
  fold(m2, plan);
  const double share = double(here) / double(count + here), weight = double(count) * share;
  piece_mean += tile.column;
  piece_m2 += tile.column;
#pragma omp simd
  for (int64_t c = 0; c < channels; ++c) {
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
  const int64_t C = p.channels;
  const Workspace parts(Cpu{}, plan.pieces * 2 * C * sizeof(double));  // [pieces][mean, Σ (x − mean)²][C]
  parallel_for(plan.pieces, 2 * plan.piece, [&](int64_t begin, int64_t end) {
    for (int64_t k = end - 1; k >= begin; --k) {
      double* part = parts.as<double>() + k * 2 * C;
      std::fill(part, part + 2 * C, 0.0);
      for_tiles(plan, k, [&](const Tile& tile) {
        merge_tile<T, A>(plan, tile, x, (tile.first - k * plan.piece) / C, part, part + C);
      });
    }
  });
  parallel_for(C, 2 * plan.pieces, [&](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; ++c) {
      double m = 0, m2 = 0, count = 0;
      for (int64_t k = 0; k < plan.pieces; ++k) {
        const double* part = parts.as<double>() + k * 2 * C + c;
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
void normalize_tile(const Tile& tile, const T* x, const T* residual, T* y, const A* mean, const A* scale,
                    const A* shift) {
  A buffer[std::is_same_v<T, A> ? 1 : kColumns];
  tile.for_rows([&](int64_t i, int64_t m) {
    A* out = room(y + i, buffer);
#pragma omp simd
    for (int64_t j = 0; j < m; ++j) {
      A v = (A(x[i + j]) - mean[j]) * scale[j] + shift[j];
      if (Residual) v += A(residual[i + j]);
      out[j] = Relu && v < 0 ? A(0) : v;  // written so that a NaN stays one
    }
    narrow(m, out, y + i);
  });
}

// ---- Backward ----

enum class Mask { none, from_y, from_x };

template <class T, class A>
struct Pointers {
  const T *dy, *x, *y;
  T *dx, *dresidual;
  // A channel's constants, repeated for a wide row: v = (x − mean)·scale + shift was the forward's result before relu
  // (where there was no residual), and dx = scale·g − k1 − (x − mean)·k2.
  const A *mean, *scale, *shift, *k1, *k2;

  // From a tile's first column on.
  Pointers at_column(int64_t c) const {
    Pointers q = *this;
    for (const A** a : {&q.mean, &q.scale, &q.shift, &q.k1, &q.k2}) *a += c;
    return q;
  }
  template <Mask mask>
  A g(int64_t i, int64_t j) const {
    A v = 1;
    if (mask == Mask::from_y) v = A(y[i + j]);
    if (mask == Mask::from_x) v = (A(x[i + j]) - mean[j]) * scale[j] + shift[j];
    const A given = A(dy[i + j]);  // read in any case: without AVX-512 there are no loads of some 16-bit lanes
    return v <= 0 ? A(0) : given;
  }
};

// f(std::integral_constant<Mask, …>)
template <class F>
void choose(Mask mask, F&& f) {
  if (mask == Mask::none)
    f(std::integral_constant<Mask, Mask::none>{});
  else if (mask == Mask::from_y)
    f(std::integral_constant<Mask, Mask::from_y>{});
  else
    f(std::integral_constant<Mask, Mask::from_x>{});
}

// Pass 1 of a tile: g, and with it all that needs no sums (Residual: dresidual; Frozen: dx), and Σ g and Σ g·(x −
// mean).
template <Mask mask, bool Sums, bool Frozen, bool Residual, class T, class A>
void sum_tile(const Tile& tile, const Pointers<T, A>& p, A* g_sum, A* gx_sum) {
  const Pointers q = p.at_column(tile.column);
  constexpr int64_t kRoom = std::is_same_v<T, A> ? 1 : kColumns;
  A residual_buffer[kRoom], dx_buffer[kRoom];
  tile.for_rows([&, q](int64_t i, int64_t m) {
    A *dresidual = Residual ? room(q.dresidual + i, residual_buffer) : nullptr,
      *dx = Frozen ? room(q.dx + i, dx_buffer) : nullptr;
#pragma omp simd
    for (int64_t j = 0; j < m; ++j) {
      const A g = q.template g<mask>(i, j);
      if (Residual) dresidual[j] = g;
      if (Frozen) dx[j] = g * q.scale[j];
      if (Sums) {
        g_sum[j] += g;
        gx_sum[j] += g * (A(q.x[i + j]) - q.mean[j]);
      }
    }
    if (Residual) narrow(m, dresidual, q.dresidual + i);
    if (Frozen) narrow(m, dx, q.dx + i);
  });
}

// Pass 2 of a tile, training only: dx.
template <Mask mask, class T, class A>
void dx_tile(const Tile& tile, const Pointers<T, A>& p) {
  const Pointers q = p.at_column(tile.column);
  A buffer[std::is_same_v<T, A> ? 1 : kColumns];
  tile.for_rows([&, q](int64_t i, int64_t m) {
    A* dx = room(q.dx + i, buffer);
#pragma omp simd
    for (int64_t j = 0; j < m; ++j)
      dx[j] = q.scale[j] * q.template g<mask>(i, j) - q.k1[j] - (A(q.x[i + j]) - q.mean[j]) * q.k2[j];
    narrow(m, dx, q.dx + i);
  });
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
  choose(p.relu, [&](auto relu) {
    choose(residual, [&](auto add) {
      parallel_for(plan.pieces, plan.piece, [&](int64_t begin, int64_t end) {
        for (int64_t k = begin; k < end; ++k)
          for_tiles(plan, k, [&](const Tile& tile) {
            normalize_tile<relu, add>(tile, x, residual, y, mean_wide + tile.column, scale + tile.column,
                                      shift + tile.column);
          });
      });
    });
  });
}

template <class B, class T>
void batch_norm_backward(B, BatchNorm p, const T* dy, const T* x, const T* y, const acc_t<T>* w, const acc_t<T>* b,
                         const acc_t<T>* mean, const acc_t<T>* rstd, T* dx, acc_t<T>* dw, acc_t<T>* db, T* dresidual) {
  using A = acc_t<T>;
  const Plan plan = make_plan(p);
  const int64_t C = p.channels, W = plan.width;
  const Mask mask = !p.relu ? Mask::none : y ? Mask::from_y : Mask::from_x;
  const bool dx_needs_sums = dx && p.training, sums = dw || db || dx_needs_sums, frozen_dx = dx && !p.training;
  if (!sums && !dx && !dresidual) return;

  const Workspace wide(Cpu{}, 5 * W * sizeof(A));
  A *mean_wide = wide.as<A>(), *scale = mean_wide + W, *shift = scale + W, *k1 = shift + W, *k2 = k1 + W;
  for (int64_t c = 0; c < C; ++c) {
    mean_wide[c] = mean[c];
    scale[c] = rstd[c] * w[c];
    shift[c] = b ? b[c] : A(0);
  }
  for (A* a : {mean_wide, scale, shift}) repeat(a, plan);
  // Where x is not given nobody asks for the sum that it is in: any readable array will do.
  Pointers<T, A> q{dy, x ? x : dy, y, dx, dresidual, mean_wide, scale, shift, k1, k2};

  const Workspace parts(Cpu{}, sums ? plan.pieces * 2 * C * sizeof(double) : 0);  // [pieces][Σ g, Σ g·(x − mean)][C]
  const auto pass1 = [&](auto tile_function) {
    parallel_for(plan.pieces, 3 * plan.piece, [&](int64_t begin, int64_t end) {
      for (int64_t k = end - 1; k >= begin; --k) {
        double* part = sums ? parts.as<double>() + k * 2 * C : nullptr;
        if (sums) std::fill(part, part + 2 * C, 0.0);
        for_tiles(plan, k, [&](const Tile& tile) {
          A g_sum[kColumns], gx_sum[kColumns];
          std::fill(g_sum, g_sum + tile.columns, A(0));
          std::fill(gx_sum, gx_sum + tile.columns, A(0));
          tile_function(tile, q, g_sum, gx_sum);
          if (!sums) return;
          fold(g_sum, plan);
          fold(gx_sum, plan);
          for (int64_t c = 0; c < std::min(tile.columns, C); ++c) {
            part[tile.column + c] += g_sum[c];
            part[C + tile.column + c] += gx_sum[c];
          }
        });
      }
    });
  };
  choose(mask, [&](auto m) {
    choose(sums, [&](auto s) {
      choose(frozen_dx, [&](auto f) {
        choose(dresidual, [&](auto r) {
          // A residual's gradient is written with a mask only, and that mask is y's.
          if constexpr ((s || f || r) && (!r || m == Mask::from_y)) pass1(sum_tile<m, s, f, r, T, A>);
        });
      });
    });
  });
  if (!sums) return;

  parallel_for(C, plan.pieces, [&](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; ++c) {
      double g = 0, gx = 0;
      for (int64_t k = 0; k < plan.pieces; ++k) {
        g += parts.as<double>()[k * 2 * C + c];
        gx += parts.as<double>()[k * 2 * C + C + c];
      }
      if (db) db[c] = A(g);
      if (dw) dw[c] = A(gx * rstd[c]);
      k1[c] = A(scale[c] * g / p.rows);
      k2[c] = A(scale[c] * gx * rstd[c] * rstd[c] / p.rows);
    }
  });
  if (!dx_needs_sums) return;

  for (A* a : {k1, k2}) repeat(a, plan);
  if (dresidual) q.dy = dresidual;  // pass 1 left g there: no mask to look at
  choose(dresidual ? Mask::none : mask, [&](auto m) {
    parallel_for(plan.pieces, 3 * plan.piece, [&](int64_t begin, int64_t end) {
      for (int64_t k = begin; k < end; ++k) for_tiles(plan, k, [&](const Tile& tile) { dx_tile<m>(tile, q); });
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
