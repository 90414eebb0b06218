// Convolution by cuDNN: conv2d.h's contracts on cuda, where cuDNN offers them. conv2d.cu is the caller.
//
// What a problem (cudnn_graph.h) runs on is settled once, by its first call, and kept: in memory for the process, on
// disk for the next (cudnn_plan_file.h). With HOLT_CUDNN_TIMING=1 up to eight engines are timed on the device and the
// fastest is kept; otherwise cuDNN's heuristics choose. Not cuDNN but the own kernel runs
//   - where cuDNN offers no engine within the numerical contract or within 2 GiB of workspace: kept too,
//   - for tensors that are empty, are not 16-byte aligned, or have 2^31 elements or more (engines index with 32 bits),
//   - for relu without a bias: cuDNN has no engine for that graph, and takes half a second to say so.
//
// Not used although cuDNN has it: batch-norm statistics in the forward convolution (genstats). Neither GPU tried (H100,
// RTX 4090) gets an engine for convolution + genstats without being there, so that it cannot be tested; and its sum of
// squares loses the variance where |mean| ≫ σ, which batch_norm.h rules out. Also not used: addition in the epilogue;
// no op asks for it (ResNet adds after batch norm).
//
// Capture into a CUDA graph: a problem's first call plans, and a thread's first call starts cuDNN; both allocate, so
// during a capture they are an Error that asks for one warm-up step before it.
#pragma once
#include <cstdint>
#include <string>

#include "kernels/conv2d.h"

namespace holt::cudnn {

/// Whether this build has cuDNN's headers and cudnn-frontend.
#if defined(HOLT_HAS_CUDNN)
inline constexpr bool kBuilt = true;
#else
inline constexpr bool kBuilt = false;
#endif

// conv2d.h's functions for f32, bf16 and f16. False: nothing was done, the own kernel must run.
bool conv2d_forward(Cuda, DType, const Conv2d&, const void* x, const void* w, const void* bias, void* y);
bool conv2d_backward_data(Cuda, DType, const Conv2d&, const void* dy, const void* w, void* dx);
bool conv2d_backward_weights(Cuda, DType, const Conv2d&, const void* dy, const void* x, void* dw);

/// How the problems of this process were settled.
struct PlanCounts {
  int64_t planned = 0;  ///< by asking cuDNN
  int64_t loaded = 0;   ///< from disk
  int64_t own = 0;      ///< of both, those that run on the own kernel
};
PlanCounts plan_counts();

/// "9.19.0, /usr/local/cuda/lib64/libcudnn.so.9", or why it is not there.
std::string library_text();

/// Writes new plans to disk, and forgets all that is in memory: what follows is as in a new process.
void forget_plans();

}  // namespace holt::cudnn
