// Memory-bound: every byte copied is read and written once, no arithmetic. A class token put before ViT-B's patches at
// batch 64, [64, 197, 768] bf16, moves 39 MB: at least 12 µs on an H100 (3.35 TB/s), 38 µs on an RTX 4090 (1.01 TB/s).
// 256 threads a block, 16 bytes an access where rows are aligned: 30 registers on sm_90, every thread resident;
// narrower units 32 to 46 (62 % of an H100's threads). No shared memory. The grid: elementwise.cuh.
#include "kernels/copy_rows.h"

#include "kernels/elementwise.cuh"

namespace holt {
namespace {

template <class U>
__device__ U load_unit(const U* p) {
  return *p;
}
template <class U>
__device__ void store_unit(U* p, const U& x) {
  *p = x;
}
__device__ inline Vec<uint32_t> load_unit(const Vec<uint32_t>* p) { return load16(p->v); }
__device__ inline void store_unit(Vec<uint32_t>* p, const Vec<uint32_t>& x) { store16(p->v, x); }

// Everything in units of U. Rung 1, naive, is U = one byte: 32 bytes a request of a warp. Rung 2, wide, takes the
// widest that fits: 512 bytes a request with 16.
template <class U>
__global__ void copy_units(CopyRows p, const U* src, U* dst) {
  const int64_t n = p.outer * p.rows * p.width;
  for (int64_t i = thread_index(); i < n; i += thread_count()) {
    const int64_t row = divide(i, p.width), o = divide(row, p.rows), b = i - row * p.width, r = row - o * p.rows;
    store_unit(dst + o * p.dst_outer + r * p.dst_pitch + b, load_unit(src + o * p.src_outer + r * p.src_pitch + b));
  }
}

template <class U>
void run(Gpu gpu, CopyRows p, const void* src, void* dst) {
  for (int64_t* bytes : {&p.width, &p.src_outer, &p.src_pitch, &p.dst_outer, &p.dst_pitch})
    *bytes /= static_cast<int64_t>(sizeof(U));
  launch<copy_units<U>>(gpu, grid_over(p.outer * p.rows * p.width), p, static_cast<const U*>(src),
                        static_cast<U*>(dst));
}

}  // namespace

template <class B>
void copy_rows(B gpu, const CopyRows& p, const void* src, void* dst) {
  if (p.outer == 0 || p.rows == 0 || p.width == 0) return;
  uint64_t together = reinterpret_cast<uintptr_t>(src) | reinterpret_cast<uintptr_t>(dst);
  for (int64_t bytes : {p.width, p.src_outer, p.src_pitch, p.dst_outer, p.dst_pitch})
    together |= static_cast<uint64_t>(bytes);
  if (copy_rows_rungs.pick("wide") == 0 || together % 2)
    run<uint8_t>(gpu, p, src, dst);
  else if (together % 4)
    run<uint16_t>(gpu, p, src, dst);
  else if (together % 16)
    run<uint32_t>(gpu, p, src, dst);
  else
    run<Vec<uint32_t>>(gpu, p, src, dst);
}

template void copy_rows(Gpu, const CopyRows&, const void*, void*);

}  // namespace holt
