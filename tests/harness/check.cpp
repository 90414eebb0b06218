#include <algorithm>
#include <cstring>
#include <deque>
#include <limits>
#include <optional>

#include "kernels/memory.h"
#include "kernels/rungs.h"
#include "kernels/stream.h"
#include "tests/harness/case.h"
#include "tests/harness/element.h"

namespace holt::test {
namespace {

constexpr int64_t kGuard = 64;               // elements in front of and behind every argument, checked after the call
constexpr unsigned char kGuardByte = 0xC7;   // as a float −102 286: nothing computes it by chance
constexpr unsigned char kPoisonByte = 0xFF;  // NaN in every float dtype: an output that was not written shows

// One argument on a device, between guards. `shift` elements of the front guard move the pointer off its alignment.
struct Buffer {
  Buffer(const Argument& a, Device d, int64_t shift)
      : arg(a),
        device(d),
        lead(kGuard + shift),
        bytes((std::max<int64_t>(a.size, 0) + 2 * kGuard + shift) * size_of(a.dtype)),
        host(bytes, kGuardByte),
        memory(d, bytes) {
    unsigned char* first = host.data() + lead * size_of(a.dtype);
    if (a.role == Argument::out)
      std::memset(first, kPoisonByte, std::max<int64_t>(a.size, 0) * size_of(a.dtype));
    else
      for (int64_t i = 0; i < a.size; ++i) store(a.dtype, first, i, a.init(i));
    copy_bytes(d, memory.as<void>(), Device::cpu, host.data(), bytes);
  }
  void* pointer() const { return arg.size < 0 ? nullptr : memory.as<char>() + lead * size_of(arg.dtype); }
  double value(int64_t i) const { return load(arg.dtype, host.data(), lead + i); }
  void fetch() { copy_bytes(Device::cpu, host.data(), device, memory.as<void>(), bytes); }
  bool guards_intact() const {
    const size_t front = lead * size_of(arg.dtype), back = front + std::max<int64_t>(arg.size, 0) * size_of(arg.dtype);
    for (size_t i = 0; i < bytes; ++i)
      if ((i < front || i >= back) && host[i] != kGuardByte) return false;
    return true;
  }

  const Argument& arg;
  Device device;
  int64_t lead;
  size_t bytes;
  std::vector<unsigned char> host;
  Workspace memory;
};

Values rounded_inputs(const Case& c) {
  Values v;
  for (const Argument& a : c.args) {
    auto& x = v.emplace_back(std::max<int64_t>(a.size, 0), std::numeric_limits<double>::quiet_NaN());
    if (a.role == Argument::out) continue;
    alignas(8) unsigned char cell[8];
    for (int64_t i = 0; i < a.size; ++i) {
      store(a.dtype, cell, 0, a.init(i));
      x[i] = load(a.dtype, cell, 0);
    }
  }
  return v;
}

std::string compare(const Buffer& b, const std::vector<double>& reference) {
  const Argument& a = b.arg;
  double squares = 0;
  int64_t finite = 0;
  for (double r : reference)
    if (std::isfinite(r)) squares += r * r, ++finite;
  const double rms = finite ? std::sqrt(squares / static_cast<double>(finite)) : 0;
  const bool exact = a.exact || !is_float(a.dtype);
  const double relative = exact ? 0 : tolerance(a);
  // What the dtype cannot hold at all: half of its smallest subnormal step.
  const double tiny = exact ? 0 : a.dtype == DType::f16 ? 0x1p-25 : a.dtype == DType::f64 ? 0x1p-1074 : 0x1p-149;
  for (int64_t i = 0; i < a.size; ++i) {
    const double got = b.value(i), want = reference[i], allowed = relative * std::max(std::abs(want), rms) + tiny;
    const bool same = std::isnan(want)   ? std::isnan(got)
                      : std::isinf(want) ? got == want
                                         : std::abs(got - want) <= allowed;
    if (!same) return format("{}[{}] of {}: got {}, expected {} ± {}", a.name, i, a.size, got, want, allowed);
  }
  return "";
}

std::string check_once(const Case& c, const Values& reference, Device d, int64_t shift) {
  std::deque<Buffer> buffers;
  std::vector<void*> pointers;
  for (const Argument& a : c.args) pointers.push_back(buffers.emplace_back(a, d, shift).pointer());
  c.run(d, pointers);
  synchronize(d);
  for (size_t i = 0; i < buffers.size(); ++i) {
    buffers[i].fetch();
    if (!buffers[i].guards_intact()) return format("{}: wrote outside its {} elements", c.args[i].name, c.args[i].size);
    if (c.args[i].role == Argument::in) {
      for (int64_t k = 0; k < c.args[i].size; ++k) {
        const double got = buffers[i].value(k), want = reference[i][k];
        if (got != want && !(std::isnan(got) && std::isnan(want)))
          return format("{}: the input was changed", c.args[i].name);
      }
    } else if (std::string wrong = compare(buffers[i], reference[i]); !wrong.empty()) {
      return wrong;
    }
  }
  return "";
}

// Orders in which the emulator's fibers run: they show a missing barrier by its wrong values. A build with
// AddressSanitizer looks for wrong addresses, which one order shows as well as three, in a third of the time.
std::vector<uint64_t> schedules_on(Device d) {
  if (d != Device{Device::simt}) return {0};
#if defined(__SANITIZE_ADDRESS__)
  return {1};
#else
  return {1, 2, 3};
#endif
}

std::vector<const CaseFamily*>& registry() {
  static std::vector<const CaseFamily*> all;
  return all;
}

}  // namespace

CaseFamily::CaseFamily(std::string n, Cases c, Gradients g) : name(std::move(n)), cases(c), gradients(g) {
  registry().push_back(this);
}
const std::vector<const CaseFamily*>& families() { return registry(); }

std::vector<std::string_view> rungs_on(const Case& c, Device d) {
  std::vector<std::string_view> rungs = d.kind == Device::cpu ? std::vector<std::string_view>{} : c.rungs;
  if (d.kind == Device::cuda && c.vendor) {
    if (rungs.empty()) rungs.push_back("own");
    rungs.push_back("vendor");
  }
  if (rungs.empty()) rungs.push_back("");
  return rungs;
}

std::string check_case(const Case& c, Device d) {
  Values reference = rounded_inputs(c);
  c.reference(reference);
  for (std::string_view rung : rungs_on(c, d))
    for (uint64_t schedule : schedules_on(d))
      for (int64_t shift : {0, 1}) {
        std::optional<ScopedRung> scoped_rung;
        if (!rung.empty()) scoped_rung.emplace(c.op, rung);
        const SimtSchedule scoped_schedule(schedule);
        if (const std::string wrong = check_once(c, reference, d, shift); !wrong.empty())
          return format(
              "{} {} {} on {}{}{}{}: {}", c.op, c.shape, c.dtype, d, rung.empty() ? "" : format(", rung {}", rung),
              schedule ? format(", schedule {}", schedule) : "", shift ? ", misaligned by one element" : "", wrong);
      }
  return "";
}

}  // namespace holt::test
