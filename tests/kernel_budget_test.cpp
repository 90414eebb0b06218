// Holds what ptxas reported for every kernel and architecture (<object>.ptxas, kept by cmake/keep_ptxas_report) to a
// budget: registers as in tests/kernel_budget.txt, 64 unless said otherwise; at most 48 KiB of static shared memory; no
// spills, unless the kernel's file says why in a line "// Spills: <kernel>: <reason>".
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "kernels/device.h"
#include "tests/harness/ptxas_report.h"

namespace holt {
namespace {

namespace fs = std::filesystem;
using test::KernelUsage;

constexpr int kDefaultRegisters = 64;
constexpr int kStaticShared = 48 * 1024;

std::map<std::string, int> read_budget() {
  std::map<std::string, int> budget;
  std::ifstream in(fs::path(HOLT_SOURCE_DIR) / "tests/kernel_budget.txt");
  for (std::string line; std::getline(in, line);) {
    if (line.empty() || line[0] == '#') continue;
    std::istringstream words(line);
    std::string kernel, why;
    int registers = 0;
    words >> kernel >> registers >> why;
    EXPECT_FALSE(why.empty()) << "kernel_budget.txt: no reason in '" << line << "'";
    EXPECT_TRUE(budget.emplace(kernel, registers).second) << "kernel_budget.txt: " << kernel << " stands there twice";
  }
  return budget;
}

bool spills_explained(const KernelUsage& u) {
  std::ifstream in(fs::path(HOLT_SOURCE_DIR) / "kernels" / u.file);
  std::stringstream text;
  text << in.rdbuf();
  return text.str().find("// Spills: " + u.kernel + ":") != std::string::npos;
}

TEST(KernelBudget, EveryKernelOnEveryArchitecture) {
  if (!kHasCuda) GTEST_SKIP() << "this build has no CUDA, so there is no compiler report";
  const std::vector<KernelUsage> all = test::read_ptxas_reports(HOLT_BINARY_DIR);
  const std::map<std::string, int> budget = read_budget();
  std::map<std::string, std::set<std::string>> architectures;
  std::map<std::string, int> most;
  for (const KernelUsage& u : all) {
    architectures[u.full].insert(u.arch);
    most[u.kernel] = std::max(most[u.kernel], u.registers);
    const auto limit = budget.find(u.kernel);
    EXPECT_LE(u.registers, limit == budget.end() ? kDefaultRegisters : limit->second)
        << u.file << ": registers of " << u.full << " for " << u.arch
        << "; if they are worth it, say why in tests/kernel_budget.txt";
    EXPECT_LE(u.shared, kStaticShared) << u.file << ": static shared memory of " << u.full << " for " << u.arch;
    EXPECT_TRUE(u.spills == 0 || spills_explained(u))
        << u.file << ": " << u.full << " spills " << u.spills << " bytes for " << u.arch;
  }
  EXPECT_FALSE(all.empty()) << "no compiler report found in " << HOLT_BINARY_DIR;
  for (const auto& [kernel, archs] : architectures)
    for (const char* wanted : {"sm_80", "sm_90", "sm_100", "sm_120"})
      EXPECT_TRUE(archs.count(wanted)) << kernel << " was not compiled for " << wanted
                                       << "; ./test sets HOLT_CUDA_ARCHITECTURES";
  for (const auto& [kernel, limit] : budget)
    EXPECT_GT(most[kernel], kDefaultRegisters)
        << "kernel_budget.txt: " << kernel << " needs no line (limit " << limit << ")";
  std::printf("%zu kernels and architectures, at most %d registers\n", all.size(),
              std::max_element(most.begin(), most.end(), [](auto& a, auto& b) { return a.second < b.second; })->second);
}

}  // namespace
}  // namespace holt
