#include "apps/holt/run_folder.h"

#include <filesystem>
#include <fstream>

#include "kernels/error.h"
#include "kernels/file.h"

namespace holt::app {
namespace fs = std::filesystem;

namespace {

// Before the folder is made: a run to resume must be there, one to begin must not.
const std::string& checked(const std::string& path, RunFolder::Mode mode) {
  std::error_code problem;
  check(!path.empty(), "train: --out is empty; give a folder");
  check(mode != RunFolder::Mode::resume || fs::exists(path, problem),
        "train: there is no run to resume in {}: the folder does not exist", path);
  return path;
}

}  // namespace

RunFolder::RunFolder(const std::string& path, Mode mode) : lock_("train", checked(path, mode)) {
  std::error_code problem;
  const bool run = fs::exists(checkpoint(), problem) || fs::exists(model(), problem);
  check(mode != Mode::fresh || !run,
        "train: {} already holds a run; continue it with --resume, replace it with --overwrite, or give another --out",
        path);
  check(mode != Mode::resume || fs::exists(checkpoint(), problem),
        "train: there is no run to resume in {}: it holds no checkpoint.safetensors", path);
}

void RunFolder::remove_results() const {
  for (const std::string& file : {model(), log()}) {
    std::error_code problem;
    fs::remove(file, problem);
    check(!problem, "train: cannot remove {}: {}", file, problem.message());
  }
}

void RunFolder::append_log(const std::string& line) const { append_line(log(), line); }

void RunFolder::keep_log(int64_t lines) const {
  std::ifstream in(log(), std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  size_t end = 0;
  for (int64_t i = 0; i < lines && text.find('\n', end) != std::string::npos; ++i) end = text.find('\n', end) + 1;
  if (end == text.size()) return;
  std::error_code problem;
  fs::resize_file(log(), end, problem);
  check(!problem, "train: cannot shorten {}: {}", log(), problem.message());
}

}  // namespace holt::app
