#include "kernels/binary.h"

#include "kernels/parallel.h"

namespace holt {

Broadcast::Broadcast(std::span<const int64_t> a_sizes, std::span<const int64_t> b_sizes) {
  const int full = static_cast<int>(std::max(a_sizes.size(), b_sizes.size()));
  check(full <= kMaxRank, "broadcast: at most {} axes, got {}", kMaxRank, full);
  const auto size = [&](std::span<const int64_t> s, int axis) {
    const int i = axis - (full - static_cast<int>(s.size()));
    return i < 0 ? 1 : s[i];
  };
  // From the innermost axis outwards into a reversed nest: an axis joins the one inside it where both strides allow.
  int64_t a_stride = 1, b_stride = 1;
  rank = 0;
  for (int axis = full - 1; axis >= 0; --axis) {
    const int64_t na = size(a_sizes, axis), nb = size(b_sizes, axis), n = na == 1 ? nb : na;
    check(na == nb || na == 1 || nb == 1, "broadcast: sizes {} and {} do not fit each other", na, nb);
    numel *= n;
    if (n == 1) continue;
    const int64_t sa = na == 1 ? 0 : a_stride, sb = nb == 1 ? 0 : b_stride;
    a_stride *= na;
    b_stride *= nb;
    const int in = rank - 1;
    if (rank > 0 && sa == a[in] * sizes[in] && sb == b[in] * sizes[in]) {
      sizes[in] *= n;
    } else {
      sizes[rank] = n;
      a[rank] = sa;
      b[rank] = sb;
      ++rank;
    }
  }
  rank = std::max(rank, 1);
  std::reverse(sizes, sizes + rank);
  std::reverse(a, a + rank);
  std::reverse(b, b + rank);
}

namespace {

// One run along the innermost axis, whose strides are 0 or 1.
template <class Op, class T>
void run(Op op, int64_t n, const T* a, int64_t a_stride, const T* b, int64_t b_stride, T* y) {
  using A = acc_t<T>;
  if (a_stride == 1 && b_stride == 1) {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) assign(y[i], op(A(a[i]), A(b[i])));
  } else if (a_stride == 1) {
    const A c = A(*b);
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) assign(y[i], op(A(a[i]), c));
  } else if (b_stride == 1) {
    const A c = A(*a);
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) y[i] = T(op(c, A(b[i])));
  } else {
    std::fill(y, y + n, T(op(A(*a), A(*b))));
  }
}

// Elements [begin, end) of the result, run by run. The outer axes turn like an odometer.
template <class Op, class T>
void walk(Op op, const Broadcast& p, int64_t begin, int64_t end, const T* a, const T* b, T* y) {
  const int inner = p.rank - 1;
  int64_t index[Broadcast::kMaxRank], rest = begin;
  for (int k = inner; k >= 0; --k) {
    index[k] = k > 0 ? rest % p.sizes[k] : rest;
    rest /= p.sizes[k];
    a += index[k] * p.a[k];
    b += index[k] * p.b[k];
  }
  for (int64_t i = begin; i < end;) {
    const int64_t n = std::min(end - i, p.sizes[inner] - index[inner]);
    run(op, n, a, p.a[inner], b, p.b[inner], y + i);
    i += n;
    a -= index[inner] * p.a[inner];
    b -= index[inner] * p.b[inner];
    index[inner] = 0;
    for (int k = inner - 1; k >= 0; --k) {
      a += p.a[k];
      b += p.b[k];
      if (++index[k] < p.sizes[k] || k == 0) break;
      a -= p.sizes[k] * p.a[k];
      b -= p.sizes[k] * p.b[k];
      index[k] = 0;
    }
  }
}

constexpr int64_t kShortRun = 64, kTile = 1024;

}  // namespace

template <class Op, class B, class T>
void binary(B, Op op, const Broadcast& p, const T* a, const T* b, T* y) {
  // A short trailing vector would make short runs: lay copies of it end to end, and run over many rows at once.
  Broadcast q = p;
  T tile[kTile];
  const bool repeat_b = p.rank == 2 && p.a[0] == p.sizes[1] && p.a[1] == 1 && p.b[0] == 0 && p.b[1] == 1;
  const bool repeat_a = p.rank == 2 && p.b[0] == p.sizes[1] && p.b[1] == 1 && p.a[0] == 0 && p.a[1] == 1;
  if ((repeat_a || repeat_b) && p.sizes[1] < kShortRun) {
    const int64_t C = p.sizes[1], copies = kTile / C;
    const T*& vector = repeat_b ? b : a;
    for (int64_t k = 0; k < copies; ++k) std::copy(vector, vector + C, tile + k * C);
    vector = tile;
    q.sizes[0] = p.sizes[0] / copies + 1;  // the last of them is cut off by p.numel
    q.sizes[1] = copies * C;
    (repeat_b ? q.a : q.b)[0] = q.sizes[1];
  }
  parallel_for(p.numel, 1, [=, &q](int64_t begin, int64_t end) { walk(op, q, begin, end, a, b, y); });
}

#define INSTANTIATE(T)                                                      \
  template void binary(Cpu, Add, const Broadcast&, const T*, const T*, T*); \
  template void binary(Cpu, Sub, const Broadcast&, const T*, const T*, T*); \
  template void binary(Cpu, Mul, const Broadcast&, const T*, const T*, T*); \
  template void binary(Cpu, Div, const Broadcast&, const T*, const T*, T*);
INSTANTIATE(float)
INSTANTIATE(bf16)
INSTANTIATE(f16)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace holt
