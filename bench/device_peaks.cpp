#include "bench/device_peaks.h"

#include <algorithm>

#include "kernels/fill.h"
#include "kernels/matmul.h"
#include "kernels/memory.h"
#include "kernels/stream.h"

namespace holt::bench {
namespace {

// Seconds of the fastest of a few calls.
template <class F>
double fastest(Device d, F f) {
  f();
  double best = 1e30;
  for (int i = 0; i < 10; ++i) {
    Event before(d), after(d);
    before.record();
    f();
    after.record();
    after.wait();
    best = std::min(best, after.seconds_since(before));
  }
  return best;
}

template <class T>
double product_gflops(Device d) {
  constexpr int64_t n = 4096;
  const Workspace a(d, n * n * sizeof(T)), b(d, n * n * sizeof(T)), c(d, n * n * sizeof(T));
  return on(d, [&](auto gpu) {
    fill(gpu, n * n, T(0.5f), a.as<T>());
    fill(gpu, n * n, T(0.25f), b.as<T>());
    const auto product = [&] {
      matmul(gpu, Matmul{1, n, n, n}, a.as<const T>(), b.as<const T>(), static_cast<const T*>(nullptr), c.as<T>(),
             static_cast<T*>(nullptr));
    };
    return 2e-9 * n * n * n / fastest(d, product);
  });
}

}  // namespace

Peaks measure_device_peaks(Device d) {
  if (d.kind != Device::cuda) return measure_peaks();
  Peaks peaks;
  constexpr size_t kBytes = size_t{256} << 20;
  {
    const Workspace from(d, kBytes), to(d, kBytes);
    peaks.copy_gbytes = 2e-9 * kBytes / fastest(d, [&] { copy_bytes(d, to.as<void>(), d, from.as<void>(), kBytes); });
    peaks.copy_mib = kBytes >> 20;
  }
  peaks.f32_gflops = product_gflops<float>(d);
  peaks.bf16_gflops = product_gflops<bf16>(d);
  return peaks;
}

}  // namespace holt::bench
