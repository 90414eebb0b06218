// Copying with the axes in another order: y[i₀, i₁, …] = x[i₀·stride₀ + i₁·stride₁ + …], y row-major.
//
// Axes that stay neighbours are merged first; then the innermost axis of y decides. If x is contiguous along it too
// (stride 1: heads of an attention), whole runs are copied. Otherwise reads and writes are contiguous along different
// axes, and that plane is transposed tile by tile through fast memory, whatever the other axes do: [R, C] → [C, R],
// NHWC → NCHW, and also [A, B, C] → [C, B, A].
//
// Bytes: 2·n·size. No arithmetic; any element type of 1, 2, 4 or 8 bytes.
#pragma once
#include <span>

#include "kernels/device.h"
#include "kernels/rungs.h"

namespace holt {

/// The merged loop nest of one permutation, outermost axis of y first.
struct Permutation {
  static constexpr int kMaxRank = 8;
  int rank = 1;                     ///< at least 1
  int64_t sizes[kMaxRank] = {1};    ///< of y; none is 1, unless there is one element
  int64_t strides[kMaxRank] = {1};  ///< in x, in elements
  int64_t numel = 1;

  /// y's axis i is x's axis axes[i]; x has the sizes `x_sizes`, and `axes` names each of its axes once.
  Permutation(std::span<const int64_t> x_sizes, std::span<const int> axes);

  /// The axis along which x is contiguous; rank − 1 if y is contiguous along it too.
  int contiguous_axis() const;
};

inline constexpr Rungs<2> permute_rungs{"permute", {"naive", "tiled"}};

/// y[p.numel]  ←  x[p.numel], elements of element_size bytes.      B: Cpu, Cuda, Simt.
template <class B>
void permute(B, const Permutation& p, size_t element_size, const void* x, void* y);

}  // namespace holt
