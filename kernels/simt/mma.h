// The tensor cores' warp-wide product and the load that feeds it, with the lane layouts that gpu_nvcc.cuh documents.
#pragma once
#include <cstdint>

#include "kernels/simt/async_copy.h"
#include "kernels/simt/counted.h"
#include "kernels/simt/thread.h"

namespace holt::simt {

/// d += a·b: a 16×16, b 16×8, d 16×8; all 32 lanes of the warp must come. Products are exact, sums in float along k.
void mma_bf16_16x8x16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], Site site = Site::current());
void mma_f16_16x8x16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], Site site = Site::current());

/// values[i] ← what lane i gave; all 32 lanes of the warp must come. Returns the caller's lane.
int exchange_all(const char* primitive, uint64_t value, uint64_t (&values)[32], Site);

// The reads stand here, not in the emulator's core: a sanitizer must see them in the kernel.

inline void ldmatrix_x4(uint32_t (&r)[4], const void* row, Site site = Site::current()) {
  check_aligned16("ldmatrix_x4", row);
  uint64_t rows[32];
  const int lane = exchange_all("ldmatrix_x4", reinterpret_cast<uint64_t>(row), rows, site);
  note_ldmatrix(row);
  const Uncounted quiet;
  for (int i = 0; i < 4; ++i) {
    const auto* x = reinterpret_cast<const uint16_t*>(rows[8 * i + lane / 4]) + 2 * (lane % 4);
    r[i] = x[0] | uint32_t{x[1]} << 16;
  }
}
inline void ldmatrix_x4_trans(uint32_t (&r)[4], const void* row, Site site = Site::current()) {
  check_aligned16("ldmatrix_x4_trans", row);
  uint64_t rows[32];
  const int lane = exchange_all("ldmatrix_x4_trans", reinterpret_cast<uint64_t>(row), rows, site);
  note_ldmatrix(row);
  const Uncounted quiet;
  for (int i = 0; i < 4; ++i) {
    const auto *x0 = reinterpret_cast<const uint16_t*>(rows[8 * i + 2 * (lane % 4)]),
               *x1 = reinterpret_cast<const uint16_t*>(rows[8 * i + 2 * (lane % 4) + 1]);
    r[i] = x0[lane / 4] | uint32_t{x1[lane / 4]} << 16;
  }
}

}  // namespace holt::simt
