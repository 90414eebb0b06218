// docs/kernels.md's table of kernels against the sources: it names every __global__ function and nothing else, and what
// it says of registers and spills is within the budget. Not exact: another nvcc counts a few registers more or less.
// Regenerate it with bench/kernels_md.sh.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>

#include "bench/occupancy.h"

namespace holt {
namespace {

namespace fs = std::filesystem;
using Names = std::set<std::string>;

std::string read(const fs::path& path) {
  std::ifstream in(path);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

Names kernels_of(const std::string& source) {
  static const std::regex kernel(R"(__global__\s+void\s+(?:__launch_bounds__\([^)]*\)\s+)?(\w+)\s*\()");
  Names names;
  for (auto m = std::sregex_iterator(source.begin(), source.end(), kernel); m != std::sregex_iterator(); ++m)
    names.insert((*m)[1]);
  return names;
}

struct TableRow {
  std::string file, kernel;  // without its numbers
  int registers = 0;         // the most of all architectures
  int spills = 0;
};

// The lines between the marks of the table: | file | `kernel<…>` | threads | shared | registers | spills | …
std::vector<TableRow> table_of(const std::string& document) {
  std::vector<TableRow> rows;
  std::istringstream in(document);
  bool inside = false;
  for (std::string line; std::getline(in, line);) {
    if (line == "<!-- begin table -->") inside = true;
    if (line == "<!-- end table -->") inside = false;
    static const std::regex row(
        R"(\| (\S+\.cu) \| `(\w+)[^`]*` \|[^|]*\|[^|]*\| (\d+), (\d+), (\d+), (\d+) \| (\d+) \|.*)");
    std::smatch m;
    if (!inside || !std::regex_match(line, m, row)) continue;
    TableRow r{m[1], m[2], 0, std::stoi(m[7])};
    for (int i = 3; i <= 6; ++i) r.registers = std::max(r.registers, std::stoi(m[i]));
    rows.push_back(r);
  }
  return rows;
}

std::map<std::string, int> budget() {
  std::map<std::string, int> limits;
  std::ifstream in(fs::path(HOLT_SOURCE_DIR) / "tests/kernel_budget.txt");
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    std::string kernel;
    int registers = 0;
    if (line[0] != '#' && words >> kernel >> registers) limits[kernel] = registers;
  }
  return limits;
}

TEST(KernelsMd, NamesEveryKernelAndNoOther) {
  Names in_sources, in_table;
  for (const auto& entry : fs::directory_iterator(fs::path(HOLT_SOURCE_DIR) / "kernels"))
    if (entry.path().extension() == ".cu" || entry.path().extension() == ".cuh")
      in_sources.merge(kernels_of(read(entry.path())));
  for (const TableRow& r : table_of(read(fs::path(HOLT_SOURCE_DIR) / "docs/kernels.md"))) {
    in_table.insert(r.kernel);
    EXPECT_TRUE(fs::exists(fs::path(HOLT_SOURCE_DIR) / "kernels" / r.file)) << r.file;
  }
  EXPECT_GT(in_sources.size(), 50u);
  EXPECT_EQ(in_table, in_sources) << "the table in docs/kernels.md is out of date: run bench/kernels_md.sh";
}

TEST(KernelsMd, KeepsToTheBudget) {
  const auto limits = budget();
  for (const TableRow& r : table_of(read(fs::path(HOLT_SOURCE_DIR) / "docs/kernels.md"))) {
    const auto limit = limits.find(r.kernel);
    EXPECT_LE(r.registers, limit == limits.end() ? 64 : limit->second) << r.file << " " << r.kernel;
    EXPECT_TRUE(r.spills == 0 || read(fs::path(HOLT_SOURCE_DIR) / "kernels" / r.file).find("// Spills: " + r.kernel) !=
                                     std::string::npos)
        << r.file << " " << r.kernel << " spills " << r.spills << " bytes";
  }
}

TEST(KernelsMd, IsReadAsItIsWritten) {
  EXPECT_EQ(kernels_of("template <int T>\n__global__ void __launch_bounds__(2 * T, 2) product(int n) {}\n"
                       "__global__ void plain(float* x);\n// a __global__ function\n"),
            (Names{"product", "plain"}));
  const auto rows = table_of(
      "| a.cu | `outside` | 1 | 0 + 0 | 1, 1, 1, 1 | 0 | 100 |\n<!-- begin table -->\n| file | kernel | …\n"
      "| a.cu | `product<128>` | 256 | 0 + 61440 | 128, 126, 124, 130 | 4 | 25 | 16 | 25 | 25 | 16 |\n"
      "<!-- end table -->\n| a.cu | `behind` | 1 | 0 + 0 | 1, 1, 1, 1 | 0 | 100 |\n");
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].kernel, "product");
  EXPECT_EQ(rows[0].registers, 130);
  EXPECT_EQ(rows[0].spills, 4);
}

// By hand from the limits: 65536 registers; 228, 164 or 100 KiB of shared memory, 1 KiB of it for each block;
// 2048 or 1536 threads.
TEST(Occupancy, FollowsFromTheLimits) {
  const auto gpu = [](const std::string& name) {
    return bench::read_multiprocessor(fs::path(HOLT_SOURCE_DIR) / "tests/gpu" / (name + ".json"));
  };
  const auto h100 = gpu("h100"), a100 = gpu("a100"), rtx4090 = gpu("rtx4090");
  const struct {
    bench::Multiprocessor m;
    bench::BlockNeeds needs;
    int blocks, percent;
  } known[] = {
      {h100, {256, 32, 0}, 8, 100},            // threads decide
      {h100, {256, 33, 0}, 6, 75},             // 40 registers a thread: 48 warps
      {h100, {32, 16, 0}, 32, 50},             // blocks decide
      {h100, {128, 128, 0}, 4, 25},            // registers: 16 warps
      {h100, {256, 128, 61440}, 2, 25},        // registers: shared memory would allow 3
      {a100, {256, 64, 61440}, 2, 25},         // shared memory: 164 / 61
      {rtx4090, {256, 128, 61440}, 1, 16},     // shared memory: 100 / 61
      {rtx4090, {256, 32, 0}, 6, 100},         // 1536 threads
      {rtx4090, {33, 16, 0}, 24, 100},         // a warp of one thread takes a warp's place
      {rtx4090, {128, 32, 101 * 1024}, 0, 0},  // cannot run
  };
  for (const auto& k : known) {
    EXPECT_EQ(bench::resident_blocks(k.m, k.needs), k.blocks) << k.m.name << " " << k.needs.threads;
    EXPECT_EQ(bench::occupancy_percent(k.m, k.needs), k.percent) << k.m.name << " " << k.needs.threads;
  }
}

}  // namespace
}  // namespace holt
