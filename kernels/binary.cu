// Memory-bound: (|a| + |b| + n)·sizeof(T) bytes for one flop an element. A residual sum in ViT-B at batch 64, [12608,
// 768] bf16, is 58 MB: at least 17 µs on an H100 (3.35 TB/s), 58 µs on an RTX 4090 (1.01 TB/s). vec16: 16 bytes an
// access, 256 threads a block, no shared memory, 31 to 48 registers on sm_90 (the operands' walks): 62 to 100 % of an
// H100's threads with two loads each, twice the 18 KB a multiprocessor that its memory asks for. The grid:
// elementwise.cuh.
#include "kernels/binary.h"

#include "kernels/elementwise.cuh"

namespace holt {
namespace {

// Rung 1, naive: one element a thread and turn; its place in each operand by division, axis by axis.
template <class Op, class T>
__global__ void naive(Op op, Broadcast p, const T* a, const T* b, T* y) {
  for (int64_t i = thread_index(); i < p.numel; i += thread_count()) {
    int64_t rest = i, ia = 0, ib = 0;
    for (int k = p.rank - 1; k > 0; --k) {
      const int64_t outer = divide(rest, p.sizes[k]), at = rest - outer * p.sizes[k];
      rest = outer;
      ia += at * p.a[k];
      ib += at * p.b[k];
    }
    ia += rest * p.a[0];
    ib += rest * p.b[0];
    y[i] = T(op(float(a[ia]), float(b[ib])));
  }
}

// How an operand of a merged nest of rank 1 or 2 gives the vector of N elements that starts at i = row·C + column.
enum class Walk : uint8_t { whole, row, column, single, none };

Walk walk_of(const Broadcast& p, const int64_t* strides, const void* data) {
  const bool outer = p.rank == 2 && strides[0] != 0, inner = strides[p.rank - 1] != 0;
  if (inner && !aligned16(data)) return Walk::none;
  if (p.rank == 1) return inner ? Walk::whole : Walk::single;
  return inner ? (outer ? Walk::whole : Walk::row) : (outer ? Walk::column : Walk::single);
}

template <class T>
__device__ Vec<T> fetch(Walk walk, const T* p, int64_t i, int64_t row, int64_t column) {
  if (walk == Walk::whole) return load16(p + i);
  if (walk == Walk::row) return load16(p + column);
  Vec<T> r;
  const T x = p[walk == Walk::column ? row : 0];
#pragma unroll
  for (int k = 0; k < Vec<T>::size; ++k) r[k] = x;
  return r;
}

// Rung 2, vec16: 16 bytes a thread and access. A row holds whole vectors, so a vector has one row; only a nest of rank
// 1 may end in part of one, which the first threads do.
template <class Op, class T>
__global__ void vec16(Op op, int64_t numel, int64_t cols, Walk walk_a, Walk walk_b, const T* a, const T* b, T* y) {
  constexpr int N = Vec<T>::size;
  for (int64_t v = thread_index(); v < numel / N; v += thread_count()) {
    const int64_t i = v * N, row = divide(i, cols), column = i - row * cols;
    Vec<T> r = fetch(walk_a, a, i, row, column);
    const Vec<T> s = fetch(walk_b, b, i, row, column);
#pragma unroll
    for (int k = 0; k < N; ++k) r[k] = T(op(float(r[k]), float(s[k])));
    store16(y + i, r);
  }
  const int64_t i = numel / N * N + thread_index();
  if (i < numel) y[i] = T(op(float(a[walk_a == Walk::whole ? i : 0]), float(b[walk_b == Walk::whole ? i : 0])));
}

}  // namespace

template <class Op, class B, class T>
void binary(B gpu, Op op, const Broadcast& p, const T* a, const T* b, T* y) {
  if (p.numel == 0) return;
  const Walk walk_a = walk_of(p, p.a, a), walk_b = walk_of(p, p.b, b);
  const bool vectors = binary_rungs.pick("vec16") == 1 && p.rank <= 2 && walk_a != Walk::none && walk_b != Walk::none &&
                       aligned16(y) && (p.rank == 1 || p.sizes[1] % Vec<T>::size == 0);
  if (vectors)
    launch<vec16<Op, T>>(gpu, grid_over(cdiv(p.numel, Vec<T>::size)), op, p.numel, p.sizes[p.rank - 1], walk_a, walk_b,
                         a, b, y);
  else
    launch<naive<Op, T>>(gpu, grid_over(p.numel), op, p, a, b, y);
}

#define INSTANTIATE(T)                                                      \
  template void binary(Gpu, Add, const Broadcast&, const T*, const T*, T*); \
  template void binary(Gpu, Sub, const Broadcast&, const T*, const T*, T*); \
  template void binary(Gpu, Mul, const Broadcast&, const T*, const T*, T*); \
  template void binary(Gpu, Div, const Broadcast&, const T*, const T*, T*);
INSTANTIATE(float)
INSTANTIATE(bf16)
INSTANTIATE(f16)
#undef INSTANTIATE

}  // namespace holt
