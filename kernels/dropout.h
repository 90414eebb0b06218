// Dropout (Srivastava et al. 2014), inverted: y[i] = keep(i) ? x[i] / (1 − p) : 0.
//
//   keep(i) = uniform01(philox(seed, stream, i / 4).v[i % 4]) ≥ p
//
// The mask is a function of (seed, stream, i) alone: the backward computes it again (dx = the same function of dy), no
// memory holds it, and it has the same bits on every device. The comparison is one of integers, so it is exact.
//
// Bytes: 2·n·sizeof(T). A Philox call, about 60 integer operations, serves four elements. Memory-bound on a GPU.
#pragma once
#include <cmath>

#include "kernels/device.h"
#include "kernels/philox.h"
#include "kernels/rungs.h"

namespace holt {

struct Dropout {
  double p;  ///< in [0, 1]; 1 keeps nothing
  uint64_t seed, stream;
  const uint64_t* live_stream = nullptr;  ///< where the device finds `stream` instead: what a graph replays

  /// uniform01(bits) ≥ p  ⇔  bits >> 8 ≥ threshold().
  uint32_t threshold() const { return static_cast<uint32_t>(std::ceil(p * 0x1p24)); }
  HOLT_HD uint64_t stream_now() const { return live_stream ? *live_stream : stream; }
  double scale() const { return p < 1 ? 1 / (1 - p) : 0; }
};

inline constexpr Rungs<2> dropout_rungs{"dropout", {"naive", "vec16"}};

/// y[n] ← x[n]; the same for dx ← dy.      T: float, bf16, f16, double (cpu).   B: Cpu, Cuda, Simt.
template <class B, class T>
void dropout(B, Dropout, int64_t n, const T* x, T* y);

}  // namespace holt
