#include "kernels/simt/async_copy.h"

#include "kernels/simt/sanitizers.h"
#include "kernels/simt/scheduler.h"

namespace holt::simt {
namespace {

AsyncCopies& copies() {
  Scheduler* s = Scheduler::current();
  if (!s) fail("simt: cp_async was called outside of a kernel");
  return s->thread().copies;
}

}  // namespace

void AsyncCopies::issue(Bytes16* to, Bytes16 value) { copies_.push_back({value, to, open_group_}); }

const AsyncCopy* AsyncCopies::next_to_land(uint64_t newest) {
  if (landed_ < copies_.size() && copies_[landed_].group + newest < open_group_) return &copies_[landed_++];
  if (landed_ == copies_.size()) clear();
  return nullptr;
}

void AsyncCopies::clear() {
  copies_.clear();
  landed_ = 0;
}

void issue_copy(Bytes16* to, Bytes16 value) {
  const RaceBlind blind;
  copies().issue(to, value);
}

void commit_copies() { copies().commit(); }

const AsyncCopy* next_copy_to_land(uint64_t newest) {
  const RaceBlind blind;
  return copies().next_to_land(newest);
}

void refuse_misaligned(const char* what, const void* p, unsigned bytes) {
  fail("{}: {} at an address that is {} past a multiple of {}", here(), what, reinterpret_cast<uintptr_t>(p) % bytes,
       bytes);
}

}  // namespace holt::simt
