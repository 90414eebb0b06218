// The GPU's stream-ordered pool itself, below what allocate() and deallocate() of cuda_backend.h decide.
#pragma once
#include <cstddef>

#include "kernels/device.h"

namespace holt::cuda {

/// Error when there is not enough memory.
void* pool_allocate(Device, size_t bytes);
void pool_deallocate(Device, void*) noexcept;

}  // namespace holt::cuda
