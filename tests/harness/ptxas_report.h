// What ptxas reported for every kernel and architecture: <object>.ptxas, kept by cmake/keep_ptxas_report.
#pragma once
#include <cxxabi.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <regex>
#include <string>
#include <vector>

namespace holt::test {

struct KernelUsage {
  std::string kernel;                         ///< without namespaces and template arguments
  std::string full;                           ///< demangled
  std::string arch;                           ///< "sm_90"
  std::string file;                           ///< "layer_norm.cu"
  int registers = 0, spills = 0, shared = 0;  ///< a thread's; bytes stored and loaded; bytes of static shared memory
};

inline std::string demangle(const std::string& mangled) {
  int status = 0;
  char* text = abi::__cxa_demangle(mangled.c_str(), nullptr, nullptr, &status);
  const std::string result = status == 0 ? text : mangled;
  std::free(text);
  return result;
}

/// "void holt::(anonymous namespace)::forward_warp<float>(…)" → "forward_warp"
inline std::string kernel_name(std::string full) {
  static const std::regex word(R"(([A-Za-z_0-9]+)(<.*>)?\()");
  full = std::regex_replace(full, std::regex(R"(\(anonymous namespace\))"), "anonymous");
  std::smatch m;
  return std::regex_search(full, m, word) ? m[1].str() : full;
}

/// All reports of a build of holt_cuda, by file name.
inline std::vector<KernelUsage> read_ptxas_reports(const std::filesystem::path& build) {
  const auto number = [](const std::string& line, const std::string& pattern) {
    std::smatch m;
    return std::regex_search(line, m, std::regex(pattern)) ? std::stoi(m[1]) : 0;
  };
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(build / "CMakeFiles/holt_cuda.dir/kernels"))
    if (entry.path().extension() == ".ptxas") paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  std::vector<KernelUsage> all;
  for (const auto& path : paths) {
    std::ifstream in(path);
    const std::regex entry_line(R"(Compiling entry function '([^']+)' for '([^']+)')");
    std::smatch m;
    for (std::string line; std::getline(in, line);) {
      if (std::regex_search(line, m, entry_line)) {
        KernelUsage& u = all.emplace_back();
        u.full = demangle(m[1]);
        u.kernel = kernel_name(u.full);
        u.arch = m[2];
        u.file = path.stem().stem().string();  // layer_norm.cu.o.ptxas → layer_norm.cu
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

}  // namespace holt::test
