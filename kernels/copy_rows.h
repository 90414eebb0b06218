// Copies a box of rows from one place to another: what concatenation, slicing and padding are made of.
//
//   dst[o·dst_outer + r·dst_pitch + b] = src[o·src_outer + r·src_pitch + b]      o < outer, r < rows, b < width
//
// All in bytes, so one kernel serves every dtype. Bytes: 2·outer·rows·width. No arithmetic. On a GPU an access is as
// wide as sizes, pitches and addresses allow: 16 bytes where all are multiples of 16.
#pragma once
#include "kernels/device.h"
#include "kernels/rungs.h"

namespace holt {

struct CopyRows {
  int64_t outer, rows, width;
  int64_t src_outer, src_pitch, dst_outer, dst_pitch;
};

inline constexpr Rungs<2> copy_rows_rungs{"copy_rows", {"naive", "wide"}};

/// The two places must not overlap.      B: Cpu, Cuda, Simt.
template <class B>
void copy_rows(B, const CopyRows&, const void* src, void* dst);

}  // namespace holt
