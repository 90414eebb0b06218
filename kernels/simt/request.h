// What one memory instruction of a warp costs: its active lanes' addresses, and from them the 32-byte sectors of global
// memory or the passes over the shared memory's banks.
#pragma once
#include <cstdint>
#include <vector>

namespace holt::simt {

/// One load or store by the lanes of a warp that take part.
struct Request {
  uint64_t address[32];
  unsigned lanes = 0;  ///< who takes part: bit l for lane l
  unsigned bytes = 0;  ///< of one lane's access: 1, 2, 4, 8 or 16
};

/// What a request takes, and what it would at best.
struct Cost {
  int actual = 0, ideal = 0;
};

/// Global memory moves sectors of 32 bytes. Ideal: as few as hold the distinct bytes that were asked for.
Cost sectors(const Request&);
/// The same, and the sectors themselves: address / 32, each once.
Cost sectors(const Request&, std::vector<uint64_t>& touched);

/// Shared memory has 32 banks of 4 bytes and serves one word a bank and pass ("wavefront"); lanes that want the same
/// word share it. 8-byte accesses go by halves of the warp, 16-byte ones by quarters (and so does ldmatrix: a quarter
/// names the eight rows of a tile). Ideal: a pass for each half or quarter that has an active lane. What is above the
/// ideal are bank conflicts.
Cost wavefronts(const Request&);

}  // namespace holt::simt
