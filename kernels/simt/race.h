// Data races, as ThreadSanitizer finds them in instrumented kernels (HOLT_RACE): pairs of accesses to one address by
// two threads, at least one a write, that no barrier orders. A launch in which one is found ends in an Error with both
// lines.
#pragma once
#include <string_view>

#include "kernels/simt/sanitizers.h"

namespace holt::simt {

#if defined(HOLT_RACE)
/// Before a launch: those found so far are not its own.
void forget_races();
/// After it: throws Error if it raced.
void check_races(std::string_view kernel);
/// Whether so many were found that looking on only costs time: threads that start now are not watched.
bool enough_races();
#else
inline void forget_races() {}
inline void check_races(std::string_view) {}
inline bool enough_races() { return false; }
#endif

}  // namespace holt::simt
