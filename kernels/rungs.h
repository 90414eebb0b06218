// Ladders: the GPU variants of one op, each adding one idea, naive first. They stay side by side in the production
// file.
//
//   layer_norm.h    inline constexpr Rungs<3> layer_norm_forward_rungs{"layer_norm_forward", {"naive", "warp",
//   "vec16"}}; layer_norm.cu   constexpr F table[] = {naive<T>, warp<T>, vec16<T>};
//                   table[layer_norm_forward_rungs.pick("vec16")](gpu, p, x, …);
//
// Every rung takes every input that the op takes. Tests and benchmarks visit all of them through ScopedRung; a whole
// process is steered by the environment: HOLT_RUNGS="layer_norm_forward=naive,matmul=tiled".
//
// Some ops have one rung more on cuda, "vendor": NVIDIA's library (kernels/cuda/). It is taken where nothing is chosen;
// HOLT_KERNELS=own keeps a whole process from it. What the library does not offer runs on the production rung instead.
#pragma once
#include <array>
#include <cstddef>
#include <string>
#include <string_view>

#include "kernels/error.h"

namespace holt {

/// The rung chosen for `op` by a ScopedRung of this thread or by HOLT_RUNGS; empty if neither speaks of it.
std::string_view chosen_rung(std::string_view op);

/// Whether `op`, on cuda, is to run in the vendor's library where that offers it: its chosen rung is "vendor", or none
/// is chosen and HOLT_KERNELS is not "own". Throws Error if HOLT_KERNELS is neither "own" nor "vendor" nor unset.
bool vendor_chosen(std::string_view op);

template <size_t N>
struct Rungs {
  std::string_view op;
  std::array<std::string_view, N> names;
  bool vendor = false;  ///< "vendor" is a rung too; where the library declined, or is not asked, it means `production`

  /// Index of the chosen rung, or of `production`.
  size_t pick(std::string_view production) const {
    const std::string_view chosen = chosen_rung(op);
    const std::string_view name = chosen.empty() || (vendor && chosen == "vendor") ? production : chosen;
    for (size_t i = 0; i < N; ++i)
      if (names[i] == name) return i;
    std::string known;
    for (auto n : names) known += (known.empty() ? "" : ", ") + std::string(n);
    if (vendor) known += ", vendor";
    fail("{}: no rung '{}'; its rungs are {}", op, name, known);
  }
};

/// Chooses a rung for the calling thread while it lives.
class ScopedRung {
 public:
  ScopedRung(std::string_view op, std::string_view rung);
  ~ScopedRung();
  ScopedRung(const ScopedRung&) = delete;
  ScopedRung& operator=(const ScopedRung&) = delete;
};

}  // namespace holt
