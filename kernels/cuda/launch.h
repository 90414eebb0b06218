// What became of a kernel launch: asked by launch() of the dialects, in .cu files.
#pragma once
#include <cstddef>
#include <string_view>

#include "kernels/device.h"

namespace holt {

/// A launch as an error names it.
struct LaunchReport {
  std::string_view kernel;
  unsigned grid[3], block[3];
  size_t shared_bytes;
};

/// Throws Error with the kernel's name and CUDA's words if the calling thread's last CUDA call failed; with
/// HOLT_CUDA_SYNC=1 it first waits for the kernel.
void check_launch(Cuda, const LaunchReport&);

}  // namespace holt
