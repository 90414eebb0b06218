// holt_kernel_table BUILD: a Markdown table of every kernel's registers, spills, shared memory and occupancy, from the
// compiler's report in a build of holt_cuda. Threads a block and dynamic shared memory come from running the op
// families' small cases on the emulated GPU and noting what is launched.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <optional>
#include <set>

#include "bench/counted_cases.h"
#include "bench/occupancy.h"
#include "kernels/error.h"
#include "tests/harness/ptxas_report.h"

namespace holt::bench {
namespace {

using test::KernelUsage;

const std::vector<std::string> kArchitectures = {"sm_80", "sm_90", "sm_100", "sm_120"};
// Which report says what a GPU runs. The table's builds have no sm_89: sm_80's code has the same register limits.
const std::vector<std::pair<std::string, std::string>> kGpus = {
    {"a100", "sm_80"}, {"rtx4090", "sm_80"}, {"h100", "sm_90"}, {"b200", "sm_100"}, {"rtx5090", "sm_120"}};

struct Shape {
  int threads = 0, dynamic = 0;
  auto operator<=>(const Shape&) const = default;
};

// "normalize<holt::f16, 8>(…)" → "normalize<8>": the name with all numbers among the template arguments, which decide
// registers and launch shapes more than types do.
std::string variant(const std::string& kernel, const std::string& full) {
  const size_t at = full.find(kernel + "<");
  if (at == full.npos) return kernel;
  std::string numbers, word;
  int depth = 1;
  for (size_t i = at + kernel.size() + 1; i < full.size() && depth > 0; ++i) {
    const char c = full[i];
    depth += c == '<' || c == '(' ? 1 : c == '>' || c == ')' ? -1 : 0;
    if (std::string_view("<>(), ").find(c) == std::string_view::npos) {
      word += c;
      continue;
    }
    if (!word.empty() && word.find_first_not_of("0123456789") == word.npos)
      numbers += (numbers.empty() ? "" : ", ") + word;
    word.clear();
  }
  return numbers.empty() ? kernel : kernel + "<" + numbers + ">";
}

// What the families' cases launch: (family, kernel's variant) → shapes.
using Launches = std::map<std::pair<std::string, std::string>, std::set<Shape>>;

void note_launches(Launches& launches, const test::CaseFamily& family, const test::Case& c, std::string_view rung) {
  for (const simt::KernelCounts& k : launches_of_case(c, rung)) {
    std::string name = k.kernel.substr(0, k.kernel.find('<'));
    if (const size_t colon = name.rfind(':'); colon != name.npos) name = name.substr(colon + 1);
    launches[{family.name, variant(name, k.kernel)}].insert(
        {static_cast<int>(k.block.count()), static_cast<int>(k.shared_bytes)});
  }
}

// Every rung of the tiny cases, which reach every branch, and of the largest.
Launches run_families() {
  Launches launches;
  for (const test::CaseFamily* family : test::families()) {
    auto cases = family->cases(test::Scope::race);
    for (test::Case& c : study_cases(*family)) cases.push_back(std::move(c));
    for (const test::Case& c : cases)
      if (c.dtype != DType::f64)
        for (std::string_view rung : test::rungs_on(c, Device::simt)) note_launches(launches, *family, c, rung);
  }
  return launches;
}

// The shapes of a kernel in a file: of this variant, else of others of the same name that take no dynamic shared
// memory; of the family that the file's name begins with, else of any family.
std::set<Shape> shapes_of(const Launches& launches, const std::string& file, const std::string& variant) {
  const auto name = [](const std::string& v) { return v.substr(0, v.find('<')); };
  std::set<Shape> found[4];
  for (const auto& [key, shapes] : launches) {
    if (name(key.second) != name(variant)) continue;
    const bool same = key.second == variant;
    if (!same && std::any_of(shapes.begin(), shapes.end(), [](const Shape& s) { return s.dynamic > 0; })) continue;
    const int rank = (same ? 0 : 1) + (file.starts_with(key.first) ? 0 : 2);
    found[rank].insert(shapes.begin(), shapes.end());
  }
  for (const auto& shapes : found)
    if (!shapes.empty()) return shapes;
  return {};
}

struct Row {
  std::map<std::string, int> registers;  // by architecture: the most of all instances
  int spills = 0, shared = 0;
};

std::string join(const std::set<std::string>& words, const char* between) {
  std::string all;
  for (const std::string& w : words) all += (all.empty() ? "" : between) + w;
  return all;
}

int run(const std::string& build, const std::string& gpus) {
  std::map<std::pair<std::string, std::string>, Row> rows;
  for (const KernelUsage& u : test::read_ptxas_reports(build)) {
    Row& r = rows[{u.file, variant(u.kernel, u.full)}];
    r.registers[u.arch] = std::max(r.registers[u.arch], u.registers);
    r.spills = std::max(r.spills, u.spills);
    r.shared = std::max(r.shared, u.shared);
  }
  check(!rows.empty(), "holt_kernel_table: no compiler report in {}", build);
  std::vector<std::pair<Multiprocessor, std::string>> machines;
  for (const auto& [gpu, arch] : kGpus) machines.emplace_back(read_multiprocessor(gpus + "/" + gpu + ".json"), arch);
  Launches launches = run_families();
  // Kernels that only some shapes need: the production rung of all cases of the test.
  for (const test::CaseFamily* family : test::families()) {
    const bool missing = std::any_of(rows.begin(), rows.end(), [&](const auto& row) {
      const auto& [file, kernel] = row.first;
      return file.starts_with(family->name) && shapes_of(launches, file, kernel).empty();
    });
    if (!missing) continue;
    for (const test::Case& c : family->cases(test::Scope::test))
      if ((c.dtype == DType::f32 || c.dtype == DType::bf16) && c.flops < 2e7) note_launches(launches, *family, c, "");
  }

  fmt::print(
      "| file | kernel | threads | shared: static + dynamic | registers on sm_80, 90, 100, 120 | spills | A100 | "
      "RTX 4090 | H100 | B200 | RTX 5090 |\n|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n");
  for (const auto& [key, r] : rows) {
    const auto& [file, kernel] = key;
    for (const std::string& a : kArchitectures)
      check(r.registers.contains(a), "holt_kernel_table: {} in {} was not compiled for {}", kernel, file, a);
    const std::set<Shape> shapes = shapes_of(launches, file, kernel);
    std::set<std::string> threads, dynamic;
    std::string registers, percents;
    for (const Shape& s : shapes) {
      threads.insert(fmt::format("{}", s.threads));
      dynamic.insert(fmt::format("{}", s.dynamic));
    }
    for (const std::string& a : kArchitectures)
      registers += (registers.empty() ? "" : ", ") + fmt::format("{}", r.registers.at(a));
    for (const auto& [m, arch] : machines) {
      std::set<int> percent;
      for (const Shape& s : shapes)
        percent.insert(occupancy_percent(m, {s.threads, r.registers.at(arch), r.shared + s.dynamic}));
      if (percent.empty())
        percents += " – |";
      else if (percent.size() == 1)
        percents += fmt::format(" {} |", *percent.begin());
      else
        percents += fmt::format(" {}–{} |", *percent.begin(), *percent.rbegin());
    }
    fmt::print("| {} | `{}` | {} | {} + {} | {} | {} |{}\n", file, kernel, threads.empty() ? "–" : join(threads, ", "),
               r.shared, dynamic.empty() ? "–" : join(dynamic, ", "), registers, r.spills, percents);
  }
  return 0;
}

}  // namespace
}  // namespace holt::bench

int main(int argc, char** argv) {
  if (argc != 3) {
    fmt::print(stderr, "usage: holt_kernel_table BUILD GPUS   (a build folder with holt_cuda; tests/gpu)\n");
    return 2;
  }
  try {
    return holt::bench::run(argv[1], argv[2]);
  } catch (const std::exception& e) {
    fmt::print(stderr, "{}\n", e.what());
    return 1;
  }
}
