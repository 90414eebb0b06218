#include "bench/counted_cases.h"

#include <fmt/format.h>

#include <map>
#include <optional>

#include "bench/buffers.h"
#include "kernels/rungs.h"

namespace holt::bench {

using simt::Access;
using simt::KernelCounts;
using simt::LineCounts;
using simt::Space;
using test::Case;

namespace {

void run_case(const Case& c, std::string_view rung) {
  const Buffers buffers(c, Device::simt);
  std::optional<ScopedRung> scoped;
  if (!rung.empty()) scoped.emplace(c.op, rung);
  c.run(Device::simt, buffers.pointers);
}

}  // namespace

std::vector<KernelCounts> count_case(const Case& c, std::string_view rung) {
  const simt::Counting counting;
  run_case(c, rung);
  return counting.result();
}

std::vector<KernelCounts> launches_of_case(const Case& c, std::string_view rung) {
  const simt::Counting counting;
  run_case(c, rung);
  return counting.launches();
}

std::vector<Case> study_cases(const test::CaseFamily& family) {
  std::vector<Case> largest;
  std::map<std::pair<std::string, DType>, size_t> index;
  for (const Case& c : family.cases(test::Scope::study)) {
    if (c.dtype == DType::f64) continue;  // exists on cpu only
    const auto [at, added] = index.try_emplace({c.op, c.dtype}, largest.size());
    if (added)
      largest.push_back(c);
    else if (c.bytes > largest[at->second].bytes)
      largest[at->second] = c;
  }
  return largest;
}

namespace {

LineCounts sum(const std::vector<KernelCounts>& kernels, Space space) {
  LineCounts all;
  for (const KernelCounts& k : kernels)
    for (Access a : {Access::read, Access::write, Access::atomic}) {
      const LineCounts t = k.total(space, a);
      all.requests += t.requests;
      all.cost += t.cost;
      all.ideal += t.ideal;
    }
  return all;
}

// "4.00 of 4.00": what a request takes, and the least that it could.
std::string per_request(const LineCounts& c) {
  if (c.requests == 0) return "–";
  const double n = static_cast<double>(c.requests);
  return fmt::format("{:.2f} ({:.2f})", static_cast<double>(c.cost) / n, static_cast<double>(c.ideal) / n);
}

std::string kernel_name(const std::string& full) { return full.substr(0, full.find('<')); }

}  // namespace

const std::string_view kRungHeader =
    "| op, shape | rung | kernels | global requests | sectors a request (ideal) | MB asked for | MB distinct | MB "
    "compulsory | shared requests | wavefronts a request (ideal) |\n|---|---|---|--:|--:|--:|--:|--:|--:|--:|\n";

std::string rung_row(const Case& c, std::string_view rung, const std::vector<KernelCounts>& kernels) {
  const LineCounts global = sum(kernels, Space::global), shared = sum(kernels, Space::shared);
  double once = 0;
  std::string names;
  for (const KernelCounts& k : kernels) {
    once += static_cast<double>(k.read_once + k.written_once);
    names += (names.empty() ? "" : ", ") + kernel_name(k.kernel);
  }
  return fmt::format("| {} {} {} | {} | {} | {} | {} | {:.3f} | {:.3f} | {:.3f} | {} | {} |\n", c.op, c.shape,
                     to_string(c.dtype), rung, names, global.requests, per_request(global),
                     32e-6 * static_cast<double>(global.cost), once / 1e6, c.bytes / 1e6, shared.requests,
                     per_request(shared));
}

const std::string_view kLineHeader =
    "| kernel | line | access | requests | lanes a request | sectors or wavefronts a request (ideal) |\n"
    "|---|---|---|--:|--:|--:|\n";

std::string line_rows(const std::vector<KernelCounts>& kernels) {
  std::string rows;
  for (const KernelCounts& k : kernels)
    for (const LineCounts& l : k.lines) {
      const char* access = l.access == Access::read ? "read" : l.access == Access::write ? "write" : "atomic";
      rows += fmt::format("| {} | {}:{} | {} {} | {} | {:.1f} | {} |\n", kernel_name(k.kernel), l.file, l.line,
                          l.space == Space::global ? "global" : "shared", access, l.requests,
                          static_cast<double>(l.lanes) / static_cast<double>(l.requests), per_request(l));
    }
  return rows;
}

}  // namespace holt::bench
