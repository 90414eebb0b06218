// launch<Kernel>(Cuda, …) where a double stands in for the CUDA runtime (HOLT_CUDA=DOUBLE): the kernel and a copy of
// its arguments go to the double's stream, as <<<…>>> does it; the emulator runs them when the stream does.
#pragma once
#include <type_traits>

#include "kernels/cuda/launch.h"
#include "kernels/simt/launch.h"

// The double's (tests/doubles/cudart/double.h): run(state) may be called several times, by a graph; then
// destroy(state).
extern "C" void holt_double_enqueue(CUstream_st* stream, void (*run)(void*), void* state, void (*destroy)(void*));

namespace holt {

template <auto Kernel, class... A>
void launch(Cuda gpu, simt::LaunchShape s, A... args) {
  static_assert((std::is_trivially_copyable_v<A> && ...), "a kernel's arguments are copied byte by byte");
  if (s.grid.x == 0 || s.grid.y == 0 || s.grid.z == 0) return;
  const auto call = [=] { Kernel(args...); };
  using Call = decltype(call);
  struct Queued {
    Call call;
    simt::Launch launch;
  };
  const simt::Launch l{simt::kernel_name<Kernel>(),
                       s.grid,
                       s.block,
                       s.shared_bytes,
                       current_simt().schedule,
                       [](const void* f) { (*static_cast<Call*>(f))(); },
                       nullptr};
  simt::check_shape(l);
  holt_double_enqueue(
      gpu.stream,
      [](void* p) {
        Queued& q = *static_cast<Queued*>(p);
        q.launch.arguments = &q.call;
        simt::run(q.launch);
      },
      new Queued{call, l}, [](void* p) { delete static_cast<Queued*>(p); });
  check_launch(gpu, {l.kernel, {s.grid.x, s.grid.y, s.grid.z}, {s.block.x, s.block.y, s.block.z}, s.shared_bytes});
}

}  // namespace holt
