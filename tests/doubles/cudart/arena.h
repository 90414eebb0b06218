// The memory of one pretended GPU: address space that nobody may touch except while its work runs.
//
// A block is 256-byte aligned and no better, has guards on both sides, is NaN when it is taken into use, and is
// poisoned from its release on; its address is given out again as late as is cheap. AddressSanitizer reports a touch of
// a guard, or of a block that is not in use, at once; without it the guards are checked at the release.
#pragma once
#include <cstddef>
#include <deque>
#include <map>
#include <string>

namespace holt_double {

class Arena {
 public:
  Arena();
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  /// An address for so many bytes, not yet usable. Null if the address space is used up.
  void* reserve(size_t bytes);
  /// The block comes into use: NaN, readable and writable. Only while open.
  void begin_use(void* p, size_t bytes);
  /// The block goes out of use. Says what was overrun, or "". Only while open.
  std::string end_use(void* p, size_t bytes);

  bool contains(const void* p) const { return p >= base_ && p < base_ + kSpace; }
  /// Makes memory accessible, or inaccessible again.
  void open();
  void close();

 private:
  static constexpr size_t kSpace = size_t{16} << 30;
  static constexpr size_t kGuard = 256;
  static constexpr size_t kPage = size_t{2} << 20;  // a huge one
  static size_t whole(size_t bytes);

  void* mapped_;
  char* base_;
  char* top_;  // used so far
  char* opened_ = nullptr;
  std::map<size_t, std::deque<char*>> released_;
};

}  // namespace holt_double
