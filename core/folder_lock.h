// One process at a time in a folder.
#pragma once
#include <string>

namespace holt {

/// Makes the folder if need be, and locks it for this process until the end of its life (or of the process, however
/// that ends). Changes nothing in it; a folder that it made and that stayed empty is removed again.
class FolderLock {
 public:
  /// `what` begins the messages ("train"). Errors: the path is no folder or cannot be made or written; another process
  /// holds it.
  FolderLock(const char* what, std::string path);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
  int lock_ = -1;
  bool made_ = false;
};

}  // namespace holt
