// The roof of whichever device the benchmarks run on.
#pragma once
#include "kernels/device.h"
#include "kernels/peaks.h"

namespace holt::bench {

/// cpu: measure_peaks(). cuda: a device-to-device copy of 256 MiB, and what the production path of matmul makes of
/// 4096³ (f32 and bf16): the best that this program knows, so "% of peak" there means "of a large product".
Peaks measure_device_peaks(Device);

}  // namespace holt::bench
