// The tensor cores' warp-wide product, with the lane layout that gpu_nvcc.cuh documents.
#pragma once
#include <cstdint>

#include "kernels/simt/thread.h"

namespace holt::simt {

/// d += a·b: a 16×16, b 16×8, d 16×8; all 32 lanes of the warp must come. Products are exact, sums in float along k.
void mma_bf16_16x8x16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], Site site = Site::current());
void mma_f16_16x8x16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], Site site = Site::current());

}  // namespace holt::simt
