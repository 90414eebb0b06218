// Holds what ptxas reported for every kernel and architecture (<object>.ptxas, kept by cmake/keep_ptxas_report) to a
// budget: registers as in tests/kernel_budget.txt, 64 unless said otherwise; at most 48 KiB of static shared memory; no
// spills, unless the kernel's file says why in a line "// Spills: <kernel>: <reason>".
#include <cxxabi.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>

#include "kernels/device.h"

namespace holt {
namespace {

namespace fs = std::filesystem;

constexpr int kDefaultRegisters = 64;
constexpr int kStaticShared = 48 * 1024;

struct Usage {
  std::string kernel;  // without namespaces and template arguments
  std::string full;    // demangled
  std::string arch, file;
  int registers = 0, spills = 0, shared = 0;
};

std::string demangle(const std::string& mangled) {
  int status = 0;
  char* text = abi::__cxa_demangle(mangled.c_str(), nullptr, nullptr, &status);
  const std::string result = status == 0 ? text : mangled;
  std::free(text);
  return result;
}

// "void holt::(anonymous namespace)::forward_warp<float>(…)" → "forward_warp"
std::string kernel_name(std::string full) {
  static const std::regex word(R"(([A-Za-z_0-9]+)(<.*>)?\()");
  full = std::regex_replace(full, std::regex(R"(\(anonymous namespace\))"), "anonymous");
  std::smatch m;
  return std::regex_search(full, m, word) ? m[1].str() : full;
}

int number(const std::string& line, const std::string& pattern) {
  std::smatch m;
  return std::regex_search(line, m, std::regex(pattern)) ? std::stoi(m[1]) : 0;
}

std::vector<Usage> read_reports() {
  std::vector<Usage> all;
  for (const auto& entry : fs::directory_iterator(fs::path(HOLT_BINARY_DIR) / "CMakeFiles/holt_cuda.dir/kernels")) {
    if (entry.path().extension() != ".ptxas") continue;
    std::ifstream in(entry.path());
    const std::regex entry_line(R"(Compiling entry function '([^']+)' for '([^']+)')");
    std::smatch m;
    for (std::string line; std::getline(in, line);) {
      if (std::regex_search(line, m, entry_line)) {
        Usage& u = all.emplace_back();
        u.full = demangle(m[1]);
        u.kernel = kernel_name(u.full);
        u.arch = m[2];
        u.file = entry.path().stem().stem().string();  // layer_norm.cu.o.ptxas → layer_norm.cu
      } else if (!all.empty() && line.find("spill stores") != line.npos) {
        all.back().spills = number(line, R"((\d+) bytes spill stores)") + number(line, R"((\d+) bytes spill loads)");
      } else if (!all.empty() && line.find("Used ") != line.npos) {
        all.back().registers = number(line, R"(Used (\d+) registers)");
        all.back().shared = number(line, R"((\d+) bytes smem)");
      }
    }
  }
  return all;
}

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

bool spills_explained(const Usage& u) {
  std::ifstream in(fs::path(HOLT_SOURCE_DIR) / "kernels" / u.file);
  std::stringstream text;
  text << in.rdbuf();
  return text.str().find("// Spills: " + u.kernel + ":") != std::string::npos;
}

TEST(KernelBudget, EveryKernelOnEveryArchitecture) {
  if (!kHasCuda) GTEST_SKIP() << "this build has no CUDA, so there is no compiler report";
  const std::vector<Usage> all = read_reports();
  const std::map<std::string, int> budget = read_budget();
  std::map<std::string, std::set<std::string>> architectures;
  std::map<std::string, int> most;
  for (const Usage& u : all) {
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
