// The house rules that a compiler does not know: which folder may include which, no circles between files, files short
// enough to read, and a repository that stands by itself.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace {

namespace fs = std::filesystem;
using Files = std::map<std::string, std::string>;  // path from the repository's root → content
using Faults = std::vector<std::string>;

constexpr size_t kMaxLines = 400;
constexpr std::string_view kReason = "Over 400 lines because ";

// apps → transfer → nn → core → kernels; data stands beside nn. tests and bench, absent here, include all.
const std::map<std::string, std::set<std::string>> kMayInclude = {
    {"kernels", {"kernels"}},
    {"core", {"core", "kernels"}},
    {"nn", {"nn", "core", "kernels"}},
    {"data", {"data", "core", "kernels"}},
    {"transfer", {"transfer", "nn", "data", "core", "kernels"}},
    {"apps", {"apps", "transfer", "nn", "data", "core", "kernels"}},
};

bool is_source(const std::string& path) {
  const std::string e = fs::path(path).extension().string();
  return e == ".h" || e == ".cpp" || e == ".cu" || e == ".cuh";
}

std::string folder_of(const std::string& path) { return path.substr(0, path.find('/')); }

std::vector<std::string> lines_of(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

// The files of the repository that `path` includes: named from the root, or from the file's own folder.
std::vector<std::string> includes(const Files& files, const std::string& path) {
  std::vector<std::string> result;
  for (const std::string& line : lines_of(files.at(path))) {
    std::istringstream words(line);
    std::string directive, name;
    words >> directive >> name;
    if (directive != "#include" || name.size() < 3 || name.front() != '"') continue;
    name = name.substr(1, name.rfind('"') - 1);
    const std::string beside = (fs::path(path).parent_path() / name).lexically_normal().string();
    if (files.contains(name))
      result.push_back(name);
    else if (files.contains(beside))
      result.push_back(beside);
  }
  return result;
}

Faults wrong_directions(const Files& files) {
  Faults faults;
  for (const auto& [path, text] : files) {
    const auto allowed = kMayInclude.find(folder_of(path));
    if (!is_source(path) || allowed == kMayInclude.end()) continue;
    for (const std::string& target : includes(files, path))
      if (!allowed->second.contains(folder_of(target))) faults.push_back(path + " includes " + target);
  }
  return faults;
}

Faults circles(const Files& files) {
  Faults faults;
  std::set<std::string> done;
  std::vector<std::string> trail;
  const auto visit = [&](const auto& self, const std::string& path) -> void {
    if (const auto seen = std::find(trail.begin(), trail.end(), path); seen != trail.end()) {
      std::string circle;
      for (auto i = seen; i != trail.end(); ++i) circle += *i + " → ";
      faults.push_back(circle + path);
      return;
    }
    if (!done.insert(path).second) return;
    trail.push_back(path);
    for (const std::string& target : includes(files, path)) self(self, target);
    trail.pop_back();
  };
  for (const auto& [path, text] : files)
    if (is_source(path)) visit(visit, path);
  return faults;
}

Faults too_long(const Files& files) {
  Faults faults;
  for (const auto& [path, text] : files) {
    if (!is_source(path)) continue;
    const std::vector<std::string> lines = lines_of(text);
    const bool explained = std::any_of(lines.begin(), lines.begin() + std::min<ptrdiff_t>(20, std::ssize(lines)),
                                       [](const std::string& l) { return l.find(kReason) != std::string::npos; });
    if (lines.size() > kMaxLines && !explained)
      faults.push_back(path + " has " + std::to_string(lines.size()) + " lines and no '" + std::string(kReason) + "…'");
  }
  return faults;
}

// Whoever clones the repository has nothing beside it.
Faults outside_names(const Files& files) {
  const std::string parent = "../";
  Faults faults;
  for (const auto& [path, text] : files)
    for (const std::string& name : {parent + "shared", parent + "gpu/"})
      if (text.find(name) != std::string::npos) faults.push_back(path + " names " + name);
  return faults;
}

Files repository() {
  const fs::path root = HOLT_SOURCE_DIR;
  Files files;
  for (auto it = fs::recursive_directory_iterator(root); it != fs::recursive_directory_iterator(); ++it) {
    const std::string name = it->path().filename().string();
    const bool ignored = name == ".git" || name == ".venv" || name == "__pycache__" ||
                         (it.depth() == 0 && (name.starts_with("build") || name.starts_with("out") || name == "runs"));
    if (ignored) {
      if (it->is_directory()) it.disable_recursion_pending();
    } else if (it->is_regular_file() && it->file_size() < 1 << 20) {
      std::ifstream in(it->path(), std::ios::binary);
      std::ostringstream content;
      content << in.rdbuf();
      files[it->path().lexically_relative(root).string()] = content.str();
    }
  }
  return files;
}

TEST(Structure, IncludesGoOnlyRightwards) { EXPECT_EQ(wrong_directions(repository()), Faults{}); }
TEST(Structure, NoFilesIncludeEachOther) { EXPECT_EQ(circles(repository()), Faults{}); }
TEST(Structure, FilesAreShortOrSayWhyNot) { EXPECT_EQ(too_long(repository()), Faults{}); }
TEST(Structure, NothingOutsideTheRepositoryIsNamed) { EXPECT_EQ(outside_names(repository()), Faults{}); }

TEST(Structure, TheRepositoryIsSeen) {
  const Files files = repository();
  for (const char* path : {"kernels/error.h", "core/ops/reshape.cpp", "tests/structure_test.cpp", "CMakeLists.txt"})
    EXPECT_TRUE(files.contains(path)) << path;
  const std::vector<std::string> seen = includes(files, "core/tensor.h");
  EXPECT_NE(std::find(seen.begin(), seen.end(), "core/shape.h"), seen.end());
}

TEST(Structure, PlantedFaultsAreCaught) {
  const Files good = {{"kernels/a.h", ""}, {"core/b.h", "#include \"kernels/a.h\"\n"}};
  EXPECT_EQ(wrong_directions(good), Faults{});
  EXPECT_EQ(circles(good), Faults{});

  Files upwards = good;
  upwards["kernels/c.cu"] = "#pragma once\n  #include \"core/b.h\"  // why not\n";
  EXPECT_EQ(wrong_directions(upwards), Faults{"kernels/c.cu includes core/b.h"});
  upwards = good;
  upwards["data/d.h"] = "", upwards["nn/e.cpp"] = "#include \"../data/d.h\"\n";
  EXPECT_EQ(wrong_directions(upwards), Faults{"nn/e.cpp includes data/d.h"});

  const Files round = {{"core/a.h", "#include \"core/b.h\"\n"},
                       {"core/b.h", "#include \"c.h\"\n"},
                       {"core/c.h", "#include \"core/a.h\"\n"}};
  EXPECT_EQ(circles(round), Faults{"core/a.h → core/b.h → core/c.h → core/a.h"});

  std::string text = "// A long story.\n";
  for (size_t i = 0; i < kMaxLines; ++i) text += "\n";
  EXPECT_EQ(too_long({{"core/a.h", text}}).size(), 1u);
  EXPECT_EQ(too_long({{"core/a.h", "// " + std::string(kReason) + "it is.\n" + text}}), Faults{});
  EXPECT_EQ(too_long({{"core/a.h", text.substr(0, text.size() - 1)}}), Faults{});

  EXPECT_EQ(outside_names({{"docs/x.md", std::string("see ..") + "/shared/x"}}).size(), 1u);
}

}  // namespace
