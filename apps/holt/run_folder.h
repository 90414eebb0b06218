// The folder of one training run:
//
//   checkpoint.safetensors   everything needed to continue; replaced at once, never half
//   model.safetensors        the trained model, at the end
//   log.jsonl                one line for each finished epoch
#pragma once
#include <cstdint>
#include <string>

#include "core/folder_lock.h"

namespace holt::app {

class RunFolder {
 public:
  enum class Mode {
    fresh,      ///< Error if the folder holds a run
    resume,     ///< Error if it holds no checkpoint
    overwrite,  ///< whatever it holds may be replaced
  };

  /// Makes the folder if need be and locks it for this process. Changes nothing in it. Errors: as above; the path is no
  /// folder or cannot be made or written; another process works in it.
  RunFolder(const std::string& path, Mode mode);

  const std::string& path() const { return lock_.path(); }
  std::string checkpoint() const { return path() + "/checkpoint.safetensors"; }
  std::string model() const { return path() + "/model.safetensors"; }
  std::string log() const { return path() + "/log.jsonl"; }

  /// Removes model and log of an earlier run.
  void remove_results() const;
  /// Appends one line, on disk when it returns.
  void append_log(const std::string& line) const;
  /// Cuts the log to its first `lines` whole lines: the epochs that the checkpoint knows of.
  void keep_log(int64_t lines) const;

 private:
  FolderLock lock_;
};

}  // namespace holt::app
