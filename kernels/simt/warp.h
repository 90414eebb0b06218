// Barriers, shuffles, votes and matches, with CUDA's names and meaning.
//
// A warp primitive is a meeting of the lanes that its mask names, at this very call. It is an Error if the caller is
// not in its own mask or if the mask names a lane that does not exist or has exited. A shuffle whose source lane is
// outside the mask gives all bits set (NaN, −1), where CUDA leaves the value undefined.
#pragma once
#include <bit>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "kernels/simt/thread.h"

namespace holt::simt {

struct BarrierVotes {
  unsigned yes, all;
};
BarrierVotes block_barrier(const char* primitive, bool predicate, Site);
void warp_barrier(unsigned mask, Site);
enum class ShuffleKind { index, up, down, exclusive_or };
uint64_t shuffle(const char* primitive, ShuffleKind, unsigned mask, uint64_t value, int argument, int width, Site);
unsigned ballot(const char* primitive, unsigned mask, bool predicate, Site);
unsigned match_any(const char* primitive, unsigned mask, uint64_t value, Site);
unsigned active_mask(Site);

// What CUDA's shuffles and matches take: arithmetic types of 4 or 8 bytes.
template <class T>
concept WarpValue = std::is_arithmetic_v<T> &&(sizeof(T) == 4 || sizeof(T) == 8);

template <WarpValue T>
uint64_t to_bits(T x) {
  uint64_t bits = 0;
  std::memcpy(&bits, &x, sizeof(T));
  return bits;
}
template <WarpValue T>
T from_bits(uint64_t bits) {
  T x;
  std::memcpy(&x, &bits, sizeof(T));
  return x;
}

inline void __syncthreads(Site site = Site::current()) { block_barrier("__syncthreads", false, site); }
inline int __syncthreads_count(int predicate, Site site = Site::current()) {
  return static_cast<int>(block_barrier("__syncthreads_count", predicate != 0, site).yes);
}
inline int __syncthreads_or(int predicate, Site site = Site::current()) {
  return block_barrier("__syncthreads_or", predicate != 0, site).yes > 0;
}
inline int __syncthreads_and(int predicate, Site site = Site::current()) {
  const BarrierVotes v = block_barrier("__syncthreads_and", predicate != 0, site);
  return v.yes == v.all;
}
inline void __syncwarp(unsigned mask = 0xffffffffu, Site site = Site::current()) { warp_barrier(mask, site); }

template <WarpValue T>
T __shfl_sync(unsigned mask, T x, int source, int width = 32, Site site = Site::current()) {
  return from_bits<T>(shuffle("__shfl_sync", ShuffleKind::index, mask, to_bits(x), source, width, site));
}
template <WarpValue T>
T __shfl_up_sync(unsigned mask, T x, unsigned delta, int width = 32, Site site = Site::current()) {
  return from_bits<T>(
      shuffle("__shfl_up_sync", ShuffleKind::up, mask, to_bits(x), static_cast<int>(delta), width, site));
}
template <WarpValue T>
T __shfl_down_sync(unsigned mask, T x, unsigned delta, int width = 32, Site site = Site::current()) {
  return from_bits<T>(
      shuffle("__shfl_down_sync", ShuffleKind::down, mask, to_bits(x), static_cast<int>(delta), width, site));
}
template <WarpValue T>
T __shfl_xor_sync(unsigned mask, T x, int lane_mask, int width = 32, Site site = Site::current()) {
  return from_bits<T>(shuffle("__shfl_xor_sync", ShuffleKind::exclusive_or, mask, to_bits(x), lane_mask, width, site));
}

inline unsigned __ballot_sync(unsigned mask, int predicate, Site site = Site::current()) {
  return ballot("__ballot_sync", mask, predicate != 0, site);
}
inline int __any_sync(unsigned mask, int predicate, Site site = Site::current()) {
  return ballot("__any_sync", mask, predicate != 0, site) != 0;
}
inline int __all_sync(unsigned mask, int predicate, Site site = Site::current()) {
  return ballot("__all_sync", mask, predicate != 0, site) == mask;
}
/// The lanes of `mask` whose x has the same bits as the caller's.
template <WarpValue T>
unsigned __match_any_sync(unsigned mask, T x, Site site = Site::current()) {
  return match_any("__match_any_sync", mask, to_bits(x), site);
}
/// `mask` and *equal = 1 if all lanes of the mask have the same x, otherwise 0 and 0.
template <WarpValue T>
unsigned __match_all_sync(unsigned mask, T x, int* equal, Site site = Site::current()) {
  *equal = match_any("__match_all_sync", mask, to_bits(x), site) == mask;
  return *equal ? mask : 0;
}
inline unsigned __activemask(Site site = Site::current()) { return active_mask(site); }

}  // namespace holt::simt
