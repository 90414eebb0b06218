// Fill: out[i] = value.
//
// Bytes: n·sizeof(T), written once. Memory-bound. The GPU kernel knows a value only by its bits, so that types of one
// size share one instantiation.
#pragma once
#include "kernels/device.h"
#include "kernels/rungs.h"

namespace holt {

inline constexpr Rungs<2> fill_rungs{"fill", {"naive", "vec16"}};

/// out[n] ← value.      T: float, bf16, f16, double (cpu), int64_t, int32_t, uint8_t.   B: Cpu, Cuda, Simt.
template <class B, class T>
void fill(B, int64_t n, T value, T* out);

}  // namespace holt
