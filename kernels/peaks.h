// What this machine can do at best, measured: the denominators of every "% of peak".
#pragma once
#include <string>

namespace holt {

struct Peaks {
  int threads = 1;         ///< how many OpenMP threads took part
  double f32_gflops = 0;   ///< fused multiply-adds on registers, two flops each
  double bf16_gflops = 0;  ///< AVX512_BF16 dot products, four flops a pair of lanes; 0 where this build has none
  double copy_gbytes = 0;  ///< memcpy between buffers beyond the cache, GB/s, read and written bytes both counted
  double copy_mib = 0;     ///< how large those buffers were, MiB each
};

/// Takes about 4·`seconds`; each number is the sum over threads of their median rate in short pieces, so that
/// a busy machine hardly lowers it.
Peaks measure_peaks(double seconds = 0.25);

/// The processor's name as the system gives it; "unknown processor" where it gives none.
std::string cpu_name();

}  // namespace holt
