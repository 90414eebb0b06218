// One process at a time that makes a file.
#pragma once
#include <string>

namespace holt {

/// Locks `path` for this process, by a file `path`.lock beside it, until the end of its life (then that file is
/// removed) or of the process (then it stays, and is no hindrance). `path` itself need not exist and is not touched.
class FileLock {
 public:
  /// `what` begins the messages ("adapt"). Errors: another process holds it; the folder cannot be written to.
  FileLock(const char* what, const std::string& path);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  std::string lock_path_;
  int lock_ = -1;
};

}  // namespace holt
