// Where the lanes of a warp meet: by mask and by call site, never through the block's barrier.
#include <bit>
#include <cstring>

#include "kernels/simt/sanitizers.h"
#include "kernels/simt/scheduler.h"
#include "kernels/simt/warp.h"

namespace holt::simt {

void Scheduler::check_mask(const char* primitive, unsigned mask, unsigned lane, const Warp& warp, Site site) const {
  auto refuse = [&](const std::string& what) {
    throw failure(format("{} called {} with mask {}, {}", thread_name(current_), primitive, hex(mask), what), site);
  };
  if (!(mask >> lane & 1)) refuse(format("which does not name the caller, lane {}", lane));
  if (const unsigned absent = mask & ~warp.present)
    refuse(format("which names lane {}, and this warp has {}", std::countr_zero(absent), std::popcount(warp.present)));
  if (const unsigned exited = mask & warp.exited)
    refuse(format("which names lane {}, and that has exited", std::countr_zero(exited)));
}

void Scheduler::meet(const char* primitive, unsigned mask, void* data, Meeting::Complete complete, bool orders,
                     Site site) {
  const unsigned w = current_ / 32, lane = current_ % 32;
  Warp& warp = warps_[w];
  check_mask(primitive, mask, lane, warp, site);
  size_t i = 0;
  while (i < warp.meetings.size() && !(warp.meetings[i].mask == mask && warp.meetings[i].primitive == primitive &&
                                       same_site(warp.meetings[i].site, site)))
    ++i;
  if (i == warp.meetings.size()) warp.meetings.push_back({primitive, mask, 0, site, complete, warp.met++, {}});
  Meeting& m = warp.meetings[i];
  m.lanes[lane] = data;
  m.arrived |= 1u << lane;
  uint64_t* const order = kRace ? &race_orders_[2 + w * kWarpOrders + m.number % kWarpOrders] : nullptr;
  if (orders) race_release(order);
  if (m.arrived == mask) {
    complete(mask, m.lanes);
    for (unsigned others = mask & ~(1u << lane); others; others &= others - 1) wake(32 * w + std::countr_zero(others));
    m = warp.meetings.back();
    warp.meetings.pop_back();
  } else {
    wait(primitive, mask, site);
  }
  if (orders) race_acquire(order);
}

unsigned Scheduler::active_mask(Site site) {
  const unsigned lane = current_ % 32;
  Warp& warp = warps_[current_ / 32];
  size_t i = 0;
  while (i < warp.meetings.size() && !(warp.meetings[i].mask == 0 && same_site(warp.meetings[i].site, site))) ++i;
  if (i == warp.meetings.size()) warp.meetings.push_back({"__activemask", 0, 0, site, nullptr, 0, {}});
  unsigned together = 0;
  warp.meetings[i].lanes[lane] = &together;
  warp.meetings[i].arrived |= 1u << lane;
  wait("__activemask", 0, site);
  return together;
}

// No lane of this warp can go on by itself: those that ask for __activemask at one place are the active ones.
void Scheduler::resolve_active_mask(Warp& warp, unsigned w) {
  for (Meeting& m : warp.meetings) {
    if (m.mask != 0) continue;
    for (unsigned lanes = m.arrived; lanes; lanes &= lanes - 1) {
      const unsigned lane = std::countr_zero(lanes);
      *static_cast<unsigned*>(m.lanes[lane]) = m.arrived;
      wake(32 * w + lane);
    }
    m = warp.meetings.back();
    warp.meetings.pop_back();
    return;
  }
}

namespace {

struct Exchange {
  uint64_t value;
  int source;
};

void exchange(unsigned mask, void* const* lanes) {
  uint64_t sent[32];
  for (unsigned left = mask; left; left &= left - 1) {
    const int lane = std::countr_zero(left);
    sent[lane] = static_cast<Exchange*>(lanes[lane])->value;
  }
  for (unsigned left = mask; left; left &= left - 1) {
    Exchange& x = *static_cast<Exchange*>(lanes[std::countr_zero(left)]);
    x.value = mask >> x.source & 1 ? sent[x.source] : ~uint64_t{0};  // CUDA leaves it undefined
  }
}

struct Vote {
  uint64_t value;
  unsigned result;
};

void vote(unsigned mask, void* const* lanes) {
  unsigned yes = 0;
  for (unsigned left = mask; left; left &= left - 1) {
    const int lane = std::countr_zero(left);
    if (static_cast<Vote*>(lanes[lane])->value) yes |= 1u << lane;
  }
  for (unsigned left = mask; left; left &= left - 1) static_cast<Vote*>(lanes[std::countr_zero(left)])->result = yes;
}

void match(unsigned mask, void* const* lanes) {
  for (unsigned left = mask; left; left &= left - 1) {
    Vote& mine = *static_cast<Vote*>(lanes[std::countr_zero(left)]);
    mine.result = 0;
    for (unsigned l = mask; l; l &= l - 1) {
      const int lane = std::countr_zero(l);
      if (static_cast<Vote*>(lanes[lane])->value == mine.value) mine.result |= 1u << lane;
    }
  }
}

void nothing(unsigned, void* const*) {}

}  // namespace

uint64_t shuffle(const char* primitive, ShuffleKind kind, unsigned mask, uint64_t value, int argument, int width,
                 Site site) {
  const RaceBlind blind;
  Scheduler& s = Scheduler::inside(primitive, site);
  if (width < 1 || width > 32 || !std::has_single_bit(static_cast<unsigned>(width)))
    throw Error(format("{}: {} got width {}, expected a power of two up to 32", here(), primitive, width), site);
  // PTX: only five bits of the argument count, and a source beyond the segment gives the lane's own value.
  const int lane = static_cast<int>(s.thread_number() % 32), b = argument & 31;
  const int first = lane & -width, last = first + width - 1;
  int source = 0;
  switch (kind) {
    case ShuffleKind::index:
      source = first | (b & (width - 1));
      break;
    case ShuffleKind::up:
      source = lane - b >= first ? lane - b : lane;
      break;
    case ShuffleKind::down:
      source = lane + b <= last ? lane + b : lane;
      break;
    case ShuffleKind::exclusive_or:
      source = (lane ^ b) <= last ? lane ^ b : lane;
      break;
  }
  Exchange x{value, source};
  s.meet(primitive, mask, &x, exchange, false, site);
  return x.value;
}

unsigned ballot(const char* primitive, unsigned mask, bool predicate, Site site) {
  const RaceBlind blind;
  Vote v{predicate, 0};
  Scheduler::inside(primitive, site).meet(primitive, mask, &v, vote, false, site);
  return v.result;
}

unsigned match_any(const char* primitive, unsigned mask, uint64_t value, Site site) {
  const RaceBlind blind;
  Vote v{value, 0};
  Scheduler::inside(primitive, site).meet(primitive, mask, &v, match, false, site);
  return v.result;
}

void warp_barrier(unsigned mask, Site site) {
  const RaceBlind blind;
  Scheduler::inside("__syncwarp", site).meet("__syncwarp", mask, nullptr, nothing, true, site);
}

unsigned active_mask(Site site) {
  const RaceBlind blind;
  return Scheduler::inside("__activemask", site).active_mask(site);
}

}  // namespace holt::simt
