// What the files of this folder share: CUDA's errors as holt's, and the choice of the GPU.
//
// kernels/cuda/ is the host's side of the cuda device, plain C++ compiled by the host compiler against CUDA's headers.
// The .cu files beside the folder hold the kernels.
#pragma once
#include <cuda_runtime_api.h>

#include <string>

#include "kernels/device.h"

namespace holt::cuda {

/// Throws Error unless `status` is success: what was asked, of which device, and CUDA's words.
void check_cuda(cudaError_t status, const char* what, Device d);

/// Makes `d` the calling thread's GPU. Error if this machine has none, or not that many.
void use(Device d);

/// Whether gpu's stream is being captured into a graph.
bool capturing(Cuda gpu);

}  // namespace holt::cuda
