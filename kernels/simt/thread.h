// What a CUDA thread knows of itself. One kernel thread runs at a time on an OS thread, so these are plain
// thread_local variables that the scheduler sets at every switch: reading one costs what reading a global costs, and
// gdb prints them by name.
#pragma once
#include <cstdint>
#include <cstring>
#include <source_location>

#include "kernels/error.h"

namespace holt::simt {

struct uint3 {
  unsigned x, y, z;
};

/// Sizes of a grid or a block. A size that does not fit CUDA's 32 bits is an Error here, where CUDA would cut it.
struct dim3 {
  unsigned x = 1, y = 1, z = 1;
  constexpr dim3() = default;
  constexpr dim3(int64_t x_, int64_t y_ = 1, int64_t z_ = 1) : x(narrow(x_)), y(narrow(y_)), z(narrow(z_)) {}
  constexpr uint64_t count() const { return uint64_t{x} * y * z; }

 private:
  static constexpr unsigned narrow(int64_t n) {
    if (n < 0 || n > int64_t{0xffffffff}) fail("simt: a dimension of {} does not fit dim3's 32 bits", n);
    return static_cast<unsigned>(n);
  }
};

// Not inline: gdb would show those of a file that does not use them. constinit: no call of an initialiser at each use.
extern constinit thread_local uint3 threadIdx;
extern constinit thread_local uint3 blockIdx;
extern constinit thread_local dim3 blockDim;
extern constinit thread_local dim3 gridDim;
inline constexpr int warpSize = 32;

/// Where a kernel called a barrier, a warp primitive or an atomic.
using Site = std::source_location;

/// "kernel 'scale' block (3,0,0)": the calling thread's block, for messages; its thread too for here().
inline bool same_site(const Site& a, const Site& b) {
  return a.line() == b.line() && a.column() == b.column() &&
         (a.file_name() == b.file_name() || std::strcmp(a.file_name(), b.file_name()) == 0);
}
std::string hex(unsigned);
std::string this_block();
std::string here();
/// Where every thread of the block stands: for the debugger, print holt::simt::threads().
std::string threads();

}  // namespace holt::simt
