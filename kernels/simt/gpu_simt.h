// gpu.cuh's dialect for the host compiler: every CUDA thread is a fiber, run by the scheduler. Its twin is
// ../gpu_nvcc.cuh.
//
// Everything lives in holt::simt and is brought into holt, where kernels are written, by name: an object file of the
// same .cu made by nvcc can be linked beside this one.
#pragma once
#include <type_traits>

#include "kernels/simt/async_copy.h"
#include "kernels/simt/atomics.h"
#include "kernels/simt/device_math.h"
#include "kernels/simt/launch.h"
#include "kernels/simt/mma.h"
#include "kernels/simt/shared.h"
#include "kernels/simt/thread.h"
#include "kernels/simt/warp.h"
#if defined(HOLT_CUDA_DOUBLE)
#include "kernels/simt/launch_on_double.h"
#endif

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __align__(n) alignas(n)

#if defined(__SANITIZE_ADDRESS__)
#define IN_REGISTERS __attribute__((noinline, no_sanitize("address,undefined")))
#else
#define IN_REGISTERS inline
#endif

namespace holt {

#if defined(HOLT_CUDA_DOUBLE)  // this .cu file a third time, for tests of the cuda device without a GPU
using Gpu = Cuda;
#else
using Gpu = Simt;
#endif

using simt::blockDim;
using simt::blockIdx;
using simt::dim3;
using simt::gridDim;
using simt::threadIdx;
using simt::uint3;
using simt::warpSize;

using simt::launch;
using simt::LaunchShape;

using simt::__activemask;
using simt::__all_sync;
using simt::__any_sync;
using simt::__ballot_sync;
using simt::__match_all_sync;
using simt::__match_any_sync;
using simt::__shfl_down_sync;
using simt::__shfl_sync;
using simt::__shfl_up_sync;
using simt::__shfl_xor_sync;
using simt::__syncthreads;
using simt::__syncthreads_and;
using simt::__syncthreads_count;
using simt::__syncthreads_or;
using simt::__syncwarp;
using simt::__threadfence;
using simt::__threadfence_block;

using simt::atomic_add_bf16x2;
using simt::atomicAdd;
using simt::atomicAnd;
using simt::atomicCAS;
using simt::atomicExch;
using simt::atomicMax;
using simt::atomicMin;
using simt::atomicOr;
using simt::atomicSub;
using simt::atomicXor;

using simt::cp_async16;
using simt::cp_async16_or_zero;
using simt::cp_async_commit;
using simt::cp_async_wait;
using simt::ldmatrix_x4;
using simt::ldmatrix_x4_trans;
using simt::mma_bf16_16x8x16;
using simt::mma_f16_16x8x16;

using simt::__brev;
using simt::__clz;
using simt::__clzll;
using simt::__cosf;
using simt::__expf;
using simt::__fdividef;
using simt::__ffs;
using simt::__ffsll;
using simt::__float_as_int;
using simt::__float_as_uint;
using simt::__fmaf_rn;
using simt::__frcp_rn;
using simt::__frsqrt_rn;
using simt::__fsqrt_rn;
using simt::__int_as_float;
using simt::__ldg;
using simt::__log2f;
using simt::__logf;
using simt::__mulhi;
using simt::__popc;
using simt::__popcll;
using simt::__powf;
using simt::__saturatef;
using simt::__sinf;
using simt::__tanf;
using simt::__uint_as_float;
using simt::__umulhi;
using simt::max;
using simt::min;
using simt::normcdff;
using simt::rsqrt;
using simt::rsqrtf;

namespace detail {

inline void move16(void* dst, const void* src) {
  simt::check_aligned16("a 16-byte access", dst);
  simt::check_aligned16("a 16-byte access", src);
  *static_cast<simt::Bytes16*>(dst) = *static_cast<const simt::Bytes16*>(src);
}
inline void move8(void* dst, const void* src) {
  simt::check_aligned8("an 8-byte access", dst);
  *static_cast<simt::Bytes8*>(dst) = *static_cast<const simt::Bytes8*>(src);
}

}  // namespace detail
}  // namespace holt
