#include "kernels/simt/counters.h"

#if defined(HOLT_COUNTERS)
#include <bit>
#include <map>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <unordered_set>

#include "kernels/simt/counter_hooks.h"
#include "kernels/simt/request.h"
#include "kernels/simt/scheduler.h"
#include "kernels/simt/source_lines.h"

namespace holt::simt {
namespace {

// Device memory: start → end.
std::mutex memory_mutex;
std::map<uintptr_t, uintptr_t> memory;

bool in_device_memory(uintptr_t p) {
  const std::lock_guard lock(memory_mutex);
  auto after = memory.upper_bound(p);
  return after != memory.begin() && p < (--after)->second;
}

struct Place {
  uintptr_t pc;
  Space space;
  Access access;
  bool operator==(const Place&) const = default;
};
struct PlaceHash {
  size_t operator()(const Place& p) const {
    return p.pc * 8 + static_cast<size_t>(p.space) * 4 + static_cast<size_t>(p.access);
  }
};

// The requests of one warp at one place that lanes may still join; the lanes' n-th accesses form the n-th.
struct Open {
  std::vector<Request> requests;
  uint32_t seen[32] = {};
};

struct Kernel {
  KernelCounts counts;
  std::unordered_map<Place, LineCounts, PlaceHash> places;
  std::unordered_set<uint64_t> read, written;  // sectors
};

}  // namespace

class Recorder {
 public:
  void launch(const Launch& l) {
    auto& k = kernels_[l.kernel];
    if (!k) {
      k = std::make_unique<Kernel>();
      k->counts.kernel = l.kernel;
      order_.push_back(k.get());
    }
    kernel_ = k.get();
    ++kernel_->counts.launches;
    kernel_->counts.block = l.block;
    kernel_->counts.shared_bytes = l.shared_bytes;
  }

  void access(Scheduler& s, Place place, uintptr_t p, unsigned bytes) {
    const unsigned warp = s.thread_number() / 32, lane = s.thread_number() % 32;
    if (warp >= warps_.size()) warps_.resize(warp + 1);
    Open& open = warps_[warp][place];
    const uint32_t n = open.seen[lane]++;
    if (n == open.requests.size()) open.requests.emplace_back();
    Request& r = open.requests[n];
    r.bytes = bytes;
    r.lanes |= 1u << lane;
    r.address[lane] = p;
  }

  void close_requests() {
    for (auto& warp : warps_) {
      for (auto& [place, open] : warp)
        for (const Request& r : open.requests) close(place, r);
      warp.clear();
    }
  }

  const std::vector<Kernel*>& kernels() const { return order_; }

  int quiet = 0;

 private:
  void close(const Place& place, const Request& r) {
    LineCounts& c = kernel_->places[place];
    ++c.requests;
    c.lanes += std::popcount(r.lanes);
    c.bytes += static_cast<uint64_t>(std::popcount(r.lanes)) * r.bytes;
    const Cost cost = place.space == Space::global ? sectors(r, touched_) : wavefronts(r);
    c.cost += cost.actual;
    c.ideal += cost.ideal;
    if (place.space != Space::global) return;
    if (place.access != Access::write) kernel_->read.insert(touched_.begin(), touched_.end());
    if (place.access != Access::read) kernel_->written.insert(touched_.begin(), touched_.end());
  }

  std::map<std::string_view, std::unique_ptr<Kernel>> kernels_;
  std::vector<Kernel*> order_;
  Kernel* kernel_ = nullptr;
  std::vector<std::unordered_map<Place, Open, PlaceHash>> warps_;
  std::vector<uint64_t> touched_;
};

namespace {

constinit thread_local Recorder* recorder = nullptr;

// The recorder, if the caller is a kernel thread whose accesses count.
Recorder* listening() { return recorder && recorder->quiet == 0 && Scheduler::current() ? recorder : nullptr; }

uintptr_t number(const void* p) { return reinterpret_cast<uintptr_t>(p); }

}  // namespace

void note_access(const void* pc, const void* p, unsigned bytes, Access access) {
  Recorder* const r = listening();
  if (!r) return;
  Scheduler& s = *Scheduler::current();
  if (s.shared().contains(p))
    r->access(s, {number(pc), Space::shared, access}, number(p), bytes);
  else if (in_device_memory(number(p)))
    r->access(s, {number(pc), Space::global, access}, number(p), bytes);
}

void note_allocation(const void* p, size_t bytes) {
  const std::lock_guard lock(memory_mutex);
  memory[number(p)] = number(p) + bytes;
}
void note_free(const void* p) {
  const std::lock_guard lock(memory_mutex);
  memory.erase(number(p));
}
void note_launch(const Launch& l) {
  if (recorder) recorder->launch(l);
}
void note_barrier() {
  if (recorder) recorder->close_requests();
}

// The return address is the kernel's: these are never inlined, and who calls them always is.
void note_copy(const void* to, const void* from) {
  note_access(__builtin_return_address(0), to, 16, Access::write);
  if (from) note_access(__builtin_return_address(0), from, 16, Access::read);
}
void note_ldmatrix(const void* row) { note_access(__builtin_return_address(0), row, 16, Access::read); }

Uncounted::Uncounted() {
  if (recorder) ++recorder->quiet;
}
Uncounted::~Uncounted() {
  if (recorder) --recorder->quiet;
}

Counting::Counting() {
  if (recorder) fail("Counting: this thread is counting already");
  recorder = new Recorder;
}

Counting::~Counting() {
  delete recorder;
  recorder = nullptr;
}

std::vector<KernelCounts> Counting::result() const {
  std::vector<uintptr_t> pcs;
  for (const Kernel* k : recorder->kernels())
    for (const auto& [place, counts] : k->places) pcs.push_back(place.pc);
  const auto lines = source_lines(pcs);
  std::vector<KernelCounts> result;
  for (const Kernel* k : recorder->kernels()) {
    std::map<std::tuple<std::string, int, Space, Access>, LineCounts> merged;
    for (const auto& [place, counts] : k->places) {
      const SourceLine& at = lines.at(place.pc);
      LineCounts& m = merged[{at.file, at.line, place.space, place.access}];
      m.requests += counts.requests;
      m.lanes += counts.lanes;
      m.bytes += counts.bytes;
      m.cost += counts.cost;
      m.ideal += counts.ideal;
    }
    KernelCounts& c = result.emplace_back(k->counts);
    c.read_once = 32 * k->read.size();
    c.written_once = 32 * k->written.size();
    for (auto& [key, m] : merged) {
      std::tie(m.file, m.line, m.space, m.access) = key;
      c.lines.push_back(m);
    }
  }
  return result;
}

std::vector<KernelCounts> Counting::launches() const {
  std::vector<KernelCounts> result;
  for (const Kernel* k : recorder->kernels()) result.push_back(k->counts);
  return result;
}

LineCounts KernelCounts::total(Space space, Access access) const {
  LineCounts sum;
  sum.space = space;
  sum.access = access;
  for (const LineCounts& l : lines) {
    if (l.space != space || l.access != access) continue;
    sum.requests += l.requests;
    sum.lanes += l.lanes;
    sum.bytes += l.bytes;
    sum.cost += l.cost;
    sum.ideal += l.ideal;
  }
  return sum;
}

}  // namespace holt::simt
#endif
