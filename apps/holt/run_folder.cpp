#include "apps/holt/run_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "kernels/error.h"

namespace holt::app {
namespace fs = std::filesystem;

RunFolder::RunFolder(std::string path, Mode mode) : path_(std::move(path)) {
  std::error_code problem;
  check(!path_.empty(), "train: --out is empty; give a folder");
  const bool existed = fs::exists(path_, problem);
  check(!existed || fs::is_directory(path_, problem), "train: {} exists and is not a folder", path_);
  check(existed || mode != Mode::resume, "train: there is no run to resume in {}: the folder does not exist", path_);
  if (!existed) {
    fs::create_directories(path_, problem);
    check(!problem, "train: the folder {} cannot be made: {}", path_, problem.message());
    made_ = true;
  }
  const bool run = fs::exists(checkpoint(), problem) || fs::exists(model(), problem);
  check(mode != Mode::fresh || !run,
        "train: {} already holds a run; continue it with --resume, replace it with --overwrite, or give another --out",
        path_);
  check(mode != Mode::resume || fs::exists(checkpoint(), problem),
        "train: there is no run to resume in {}: it holds no checkpoint.safetensors", path_);
  check(access(path_.c_str(), W_OK | X_OK) == 0, "train: cannot write to the folder {}: {}", path_,
        std::strerror(errno));
  lock_ = open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  check(lock_ >= 0, "train: cannot open the folder {}: {}", path_, std::strerror(errno));
  if (flock(lock_, LOCK_EX | LOCK_NB) != 0) {
    const int why = errno;
    close(lock_);
    check(why != EWOULDBLOCK, "train: another process is training in {}", path_);
    fail("train: cannot lock the folder {}: {}", path_, std::strerror(why));
  }
}

RunFolder::~RunFolder() {
  if (made_) rmdir(path_.c_str());  // succeeds if nothing came of the run: no empty folder is left behind
  close(lock_);
}

void RunFolder::remove_results() const {
  for (const std::string& file : {model(), log()}) {
    std::error_code problem;
    fs::remove(file, problem);
    check(!problem, "train: cannot remove {}: {}", file, problem.message());
  }
}

void RunFolder::append_log(const std::string& line) const {
  const std::string text = line + "\n";
  const int file = open(log().c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
  check(file >= 0, "train: cannot open {}: {}", log(), std::strerror(errno));
  const bool ok = write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && fsync(file) == 0;
  const int why = errno;
  close(file);
  check(ok, "train: cannot write {}: {}", log(), std::strerror(why));
}

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
