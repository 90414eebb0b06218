#include "core/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "kernels/error.h"

namespace holt {

FileLock::FileLock(const char* what, const std::string& path) : lock_path_(path + ".lock") {
  // Whoever held the lock may have removed the file between our open and our flock: then we hold a file that nobody
  // else will find, and try again.
  for (struct stat status{};;) {
    lock_ = open(lock_path_.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0666);
    check(lock_ >= 0, "{}: cannot write {}: {}", what, path, std::strerror(errno));
    if (flock(lock_, LOCK_EX | LOCK_NB) != 0) {
      const int why = errno;
      close(lock_);
      check(why != EWOULDBLOCK, "{}: another process is making {}", what, path);
      fail("{}: cannot lock {}: {}", what, lock_path_, std::strerror(why));
    }
    if (fstat(lock_, &status) == 0 && status.st_nlink > 0) return;
    close(lock_);
  }
}

FileLock::~FileLock() {
  unlink(lock_path_.c_str());
  close(lock_);
}

}  // namespace holt
