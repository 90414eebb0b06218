// Which op produced the first NaN or infinity?
//
//   HOLT_CHECK_FINITE=1 ./build/holt train …     →  Error: log: the output f32 [8, 10] on cpu has -inf at element 3 …
//
// Looks at every output and every gradient: slow, for a search only.
#pragma once
#include "core/tensor.h"

namespace holt {

/// Position of the first NaN or infinity, row-major; −1 if all elements are finite (integers always are).
int64_t first_nonfinite(const Tensor& t);

/// Whether each op's output, and each gradient of a backward, is checked: set_check_finite() if it was called, else
/// the environment's HOLT_CHECK_FINITE=1.
bool check_finite();
void set_check_finite(bool on);

}  // namespace holt
