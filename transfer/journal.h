// results.jsonl: one line for each finished job, on disk before the next begins. A killed run continues after the last.
#pragma once
#include <mutex>
#include <string>
#include <vector>

#include "transfer/result.h"

namespace holt::transfer {

class Journal {
 public:
  /// Reads what the file holds. A last line without its end (a machine that lost power) is cut off; its job will be
  /// done again. Any other line that is no result is an Error that names file and line, and nothing is changed.
  explicit Journal(std::string path);

  /// The last whole result of each job, in the file's order.
  const std::vector<Result>& results() const { return results_; }
  /// The result of a job that succeeded, or null.
  const Result* find(const std::string& id) const;
  /// Appends. From any thread.
  void add(const Result& result);
  /// True if a cut-off line was found.
  bool repaired() const { return repaired_; }

 private:
  void keep(Result result);

  std::string path_;
  std::vector<Result> results_;
  bool repaired_ = false;
  std::mutex mutex_;
};

/// The results in a file, by the rules above, but without changing it: a cut-off line is left out.
std::vector<Result> read_results(const std::string& path);

}  // namespace holt::transfer
