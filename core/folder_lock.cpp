#include "core/folder_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "kernels/error.h"

namespace holt {
namespace fs = std::filesystem;

FolderLock::FolderLock(const char* what, std::string path) : path_(std::move(path)) {
  std::error_code problem;
  check(!path_.empty(), "{}: the folder's name is empty", what);
  if (!fs::exists(path_, problem)) {
    fs::create_directories(path_, problem);
    check(!problem, "{}: the folder {} cannot be made: {}", what, path_, problem.message());
    made_ = true;
  }
  check(fs::is_directory(path_, problem), "{}: {} exists and is not a folder", what, path_);
  check(access(path_.c_str(), W_OK | X_OK) == 0, "{}: cannot write to the folder {}: {}", what, path_,
        std::strerror(errno));
  lock_ = open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  check(lock_ >= 0, "{}: cannot open the folder {}: {}", what, path_, std::strerror(errno));
  if (flock(lock_, LOCK_EX | LOCK_NB) != 0) {
    const int why = errno;
    close(lock_);
    check(why != EWOULDBLOCK, "{}: another process works in {}", what, path_);
    fail("{}: cannot lock the folder {}: {}", what, path_, std::strerror(why));
  }
}

FolderLock::~FolderLock() {
  if (made_) rmdir(path_.c_str());  // succeeds if nothing came of it: no empty folder is left behind
  close(lock_);
}

}  // namespace holt
