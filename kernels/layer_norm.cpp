#include "kernels/layer_norm.h"

#include <cmath>

#include "kernels/lanes.h"
#include "kernels/memory.h"
#include "kernels/narrow.h"
#include "kernels/parallel.h"

namespace holt {

template <class B, class T>
void layer_norm_forward(B, LayerNorm p, const T* x, const T* residual, const acc_t<T>* w, const acc_t<T>* b, T* sum_out,
                        T* y, acc_t<T>* mean, acc_t<T>* rstd) {
  using A = acc_t<T>;
  using V = lanes::vec_t<T>;
  constexpr int kLanes = lanes::lanes_of<T>;
  const int64_t C = p.cols, whole = C / kLanes * kLanes;
  const auto row = [=](int64_t r) {
    const T* in = x + r * C;
    if (residual) {
      const T* const add = residual + r * C;
      T* const total = sum_out + r * C;
      for (int64_t c = 0; c < whole; c += kLanes) lanes::store(total + c, lanes::load(in + c) + lanes::load(add + c));
      for (int64_t c = whole; c < C; ++c) total[c] = T(A(in[c]) + A(add[c]));
      in = total;
    }
    T* const out = y + r * C;
    A sum = lanes::sum(lanes::total<V>(whole, kLanes, [in](int64_t c) { return lanes::load(in + c); }));
    for (int64_t c = whole; c < C; ++c) sum += A(in[c]);
    const A m = sum / A(C);
    const auto square = [](auto d) { return d * d; };
    A squares = lanes::sum(
        lanes::total<V>(whole, kLanes, [in, m, square](int64_t c) { return square(lanes::load(in + c) - m); }));
    for (int64_t c = whole; c < C; ++c) squares += square(A(in[c]) - m);
    const A s = 1 / std::sqrt(squares / A(C) + A(p.eps));
    for (int64_t c = 0; c < whole; c += kLanes) {  // while it computes, the row that comes next
      __builtin_prefetch(x + (r + 1) * C + c);
      lanes::store(out + c, (lanes::load(in + c) - m) * s * lanes::load(w + c) + lanes::load(b + c));
    }
    for (int64_t c = whole; c < C; ++c) out[c] = T((A(in[c]) - m) * s * w[c] + b[c]);
    mean[r] = m;
    rstd[r] = s;
  };
  parallel_for(p.rows, 4 * C, [=](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) row(r);
  });
}

namespace {

// Rows whose dw and db are summed by one thread. Fixed, so that the sums do not depend on how many threads there are.
constexpr int64_t kRowsPerChunk = 64;

// What is the same for a whole call.
template <class T>
struct Backward {
  using A = acc_t<T>;
  int64_t cols;
  const T *dy, *x;
  const A *w, *mean, *rstd;
  const T* dsum;
  T* dx;
};

// Rows [r, r + Rows): adds their share to dw and db (Sums), writes dx (Dx). dx may be dy. In 16 bits it is the
// instructions that take the time: rows that go together load and store the sums once, and values are widened twice
// rather than put down in between.
template <int Rows, bool Sums, bool Dx, class T>
void backward_rows(const Backward<T>& p, int64_t r, acc_t<T>* dw, acc_t<T>* db) {
  using A = acc_t<T>;
  using V = lanes::vec_t<T>;
  constexpr int kLanes = lanes::lanes_of<T>;
  const int64_t C = p.cols, whole = C / kLanes * kLanes;
  const T *dy = p.dy + r * C, *x = p.x + r * C;
  const A* const weights = p.w;

  V g_sum[Rows], gx_sum[Rows];
  A mean[Rows], rstd[Rows];
#pragma GCC unroll 4
  for (int i = 0; i < Rows; ++i) {
    g_sum[i] = gx_sum[i] = V{};
    mean[i] = p.mean[r + i];
    rstd[i] = p.rstd[r + i];
  }
  const auto sums = [&](int64_t c, auto load) {
    const V w = load(weights + c);
    V dw_c = Sums ? lanes::load(dw + c) : V{}, db_c = Sums ? lanes::load(db + c) : V{};
#pragma GCC unroll 4
    for (int i = 0; i < Rows; ++i) {
      const V d = load(dy + i * C + c), normal = (load(x + i * C + c) - mean[i]) * rstd[i], g = d * w;
      dw_c += d * normal;
      db_c += d;
      g_sum[i] += g;
      gx_sum[i] += g * normal;
    }
    if (!Sums) return;
    lanes::store(dw + c, dw_c);
    lanes::store(db + c, db_c);
  };
  for (int64_t c = 0; c < whole; c += kLanes) sums(c, [](const auto* from) { return lanes::load(from); });
  if (whole < C) sums(whole, [=](const auto* from) { return lanes::load_first(C - whole, from); });
  if (!Dx) return;

  for (int i = 0; i < Rows; ++i) {
    const A s = rstd[i], m = mean[i], level = s * lanes::sum(g_sum[i]) / A(C),
            tilt = s * s * lanes::sum(gx_sum[i]) / A(C);
    const int64_t row = i * C;
    const T* const dsum = p.dsum ? p.dsum + r * C + row : nullptr;
    const auto gradient = [=](int64_t c, auto load) {
      const V d = (load(dy + row + c) * load(weights + c)) * s - level - (load(x + row + c) - m) * tilt;
      return dsum ? d + load(dsum + c) : d;
    };
    T* dx = p.dx + r * C + row;
    for (int64_t c = 0; c < whole; c += kLanes) {  // while it computes, the rows that come next
      __builtin_prefetch(dy + row + Rows * C + c);
      __builtin_prefetch(x + row + Rows * C + c);
      lanes::store(dx + c, gradient(c, [](const auto* from) { return lanes::load(from); }));
    }
    if (whole < C)
      lanes::store_first(C - whole, dx + whole,
                         gradient(whole, [=](const auto* from) { return lanes::load_first(C - whole, from); }));
  }
}

template <bool Sums, bool Dx, class T>
void backward_chunk(const Backward<T>& p, int64_t begin, int64_t end, acc_t<T>* dw, acc_t<T>* db) {
  constexpr int kTogether = 2;
  int64_t r = begin;
  for (; r + kTogether <= end; r += kTogether) backward_rows<kTogether, Sums, Dx>(p, r, dw, db);
  for (; r < end; ++r) backward_rows<1, Sums, Dx>(p, r, dw, db);
}

}  // namespace

template <class B, class T>
void layer_norm_backward(B, LayerNorm p, const T* dy, const T* x, const acc_t<T>* w, const acc_t<T>* mean,
                         const acc_t<T>* rstd, const T* dsum, T* dx, acc_t<T>* dw, acc_t<T>* db) {
  using A = acc_t<T>;
  const int64_t C = p.cols, room = (C + 15) / 16 * 16;  // whole vectors
  const int64_t chunks = (p.rows + kRowsPerChunk - 1) / kRowsPerChunk;
  const bool sums = dw || db;
  if (!sums && !dx) return;
  const Workspace partial(Device::cpu, sums ? 2 * chunks * room * sizeof(A) : 0);  // [chunks][dw, db][room]
  const auto chunk = !dx    ? backward_chunk<true, false, T>
                     : sums ? backward_chunk<true, true, T>
                            : backward_chunk<false, true, T>;
  const Backward<T> call{C, dy, x, w, mean, rstd, dsum, dx};
  parallel_for(chunks, kRowsPerChunk * 6 * C, [&](int64_t first, int64_t last) {
    for (int64_t k = first; k < last; ++k) {
      A* dwk = sums ? partial.as<A>() + 2 * k * room : nullptr;
      A* dbk = sums ? dwk + room : nullptr;
      if (sums) std::fill(dwk, dwk + 2 * room, A(0));
      chunk(call, k * kRowsPerChunk, std::min(p.rows, (k + 1) * kRowsPerChunk), dwk, dbk);
    }
  });
  for (A* out : {dw, db}) {
    if (!out) continue;
    const A* part = partial.as<A>() + (out == dw ? 0 : room);
    parallel_for(C, chunks, [&](int64_t begin, int64_t end) {
      for (int64_t c = begin; c < end; ++c) {
        A sum = 0;
        for (int64_t k = 0; k < chunks; ++k) sum += part[2 * k * room + c];
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
