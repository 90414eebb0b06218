// Counters: what kernels ask of the memory system, per kernel and source line. The .cu files are compiled a third time,
// with -fsanitize=thread but linked with hooks of our own instead of libtsan (counter_hooks.cpp), so that each access
// of a kernel thread tells its address, size and place. The library is holt_simt_counting, linked before holt_simt.
//
// Accesses of a warp's lanes are one request if they come from the same instruction and are each lane's n-th there
// since the last barrier. In a loop where some lanes skip an access that others make, a lane's later accesses join its
// neighbours' earlier requests; everything else is exact. What the hardware's caches then keep is not modelled: every
// sector of a request counts.
//
// Only memory from allocate(Device::simt) is global, and only SHARED and DYNAMIC_SHARED are shared; parameters, local
// arrays (registers, on a GPU) and constants are not counted.
#pragma once
#include <string>
#include <vector>

#include "kernels/parallel.h"
#include "kernels/simt/thread.h"

namespace holt::simt {

enum class Space : uint8_t { global, shared };
enum class Access : uint8_t { read, write, atomic };

/// What one source line asked for, by one kind of access.
struct LineCounts {
  std::string file;  ///< without its folder
  int line = 0;
  Space space = Space::global;
  Access access = Access::read;
  uint64_t requests = 0;
  uint64_t lanes = 0;  ///< active lanes, summed over the requests
  uint64_t bytes = 0;  ///< asked for by the lanes
  uint64_t cost = 0;   ///< global: sectors of 32 bytes. shared: wavefronts
  uint64_t ideal = 0;  ///< the least that `cost` could be for these requests
};

struct KernelCounts {
  std::string kernel;
  uint64_t launches = 0;
  dim3 block;               ///< of the last launch
  size_t shared_bytes = 0;  ///< dynamic, of the last launch
  std::vector<LineCounts> lines;
  uint64_t read_once = 0, written_once = 0;  ///< bytes of the distinct sectors that were touched

  /// Sums over lines of one kind; file and line are empty.
  LineCounts total(Space, Access) const;
};

/// Counts what this thread's launches on simt do while it lives. One at a time on a thread.
class Counting {
 public:
  Counting();
  ~Counting();
  Counting(const Counting&) = delete;
  Counting& operator=(const Counting&) = delete;
  /// In the order of first launches; lines in the order of file and line. Names lines by addr2line (binutils).
  std::vector<KernelCounts> result() const;
  /// The same without lines: what was launched, and how.
  std::vector<KernelCounts> launches() const;

 private:
  const ThreadLimit one_{1};  // the blocks of a launch run on this thread
};

}  // namespace holt::simt
