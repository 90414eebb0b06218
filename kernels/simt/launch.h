// launch<Kernel>(gpu, {grid, block, shared_bytes}, args…) on the emulator.
#pragma once
#include <initializer_list>
#include <string_view>

#include "kernels/device.h"
#include "kernels/simt/thread.h"

namespace holt::simt {

struct LaunchShape {
  dim3 grid, block;
  size_t shared_bytes = 0;
};

/// A kernel with its arguments, as the emulator sees it.
struct Launch {
  std::string_view kernel;
  dim3 grid, block;
  size_t shared_bytes;
  uint64_t schedule;
  void (*call)(const void* arguments);
  const void* arguments;
};

/// Throws Error if the shape breaks one of CUDA's limits.
void check_shape(const Launch&);
/// Runs every block; returns when all are done. Throws Error if the shape breaks one of CUDA's limits, and what a
/// kernel thread throws.
void run(const Launch&);

// A kernel's own name, cut out of what the compiler calls this function.
template <auto Kernel>
constexpr std::string_view kernel_name() {
  std::string_view s = __PRETTY_FUNCTION__;
  s.remove_prefix(s.find("Kernel = ") + 9);
  for (std::string_view all_kernels_are_in : {"holt::", "{anonymous}::"})
    if (s.starts_with(all_kernels_are_in)) s.remove_prefix(all_kernels_are_in.size());
  int depth = 0;  // GCC goes on with "; std::string_view = …]"
  for (size_t i = 0; i < s.size(); ++i) {
    if (s[i] == '<' || s[i] == '(' || s[i] == '{') ++depth;
    if (s[i] == '>' || s[i] == ')' || s[i] == '}') --depth;
    if (depth == 0 && (s[i] == ';' || s[i] == ']')) return s.substr(0, i);
  }
  return s;
}

/// Runs Kernel(args…) for every thread of the grid, in an order permuted by gpu.schedule. A grid of zero blocks runs
/// nothing.
template <auto Kernel, class... A>
void launch(Simt gpu, LaunchShape s, A... args) {
  if (s.grid.x == 0 || s.grid.y == 0 || s.grid.z == 0) return;
  const auto call = [&] { Kernel(args...); };
  run({kernel_name<Kernel>(), s.grid, s.block, s.shared_bytes, gpu.schedule,
       [](const void* f) { (*static_cast<decltype(call)*>(f))(); }, &call});
}

}  // namespace holt::simt
