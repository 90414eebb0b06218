// cuDNN itself: opened at first use, and a handle for each thread and GPU.
#pragma once
#include <string>

#include "kernels/cuda/shared_library.h"
#include "kernels/device.h"

struct cudnnContext;

namespace holt::cudnn {

/// Opened by the first call. HOLT_CUDNN_LIBRARY names another file.
const cuda::SharedLibrary& library();

/// 91900 for 9.19.0. The library must be there.
int64_t version();
/// "9.19.0"
std::string version_text();

/// The calling thread's handle for the GPU, set to gpu.stream. Made at first use, which a stream capture forbids
/// (Error). When the thread ends, the handle waits for the next thread.
cudnnContext* handle(Cuda gpu, const char* op);

/// "NVIDIA H100 80GB HBM3, sm_90, 132 SMs": plans are made for that.
std::string gpu_name(int8_t index);

}  // namespace holt::cudnn
