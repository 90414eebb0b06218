// What a person sees while training: on a terminal one line, rewritten; in a file a few lines an epoch.
//
//   epoch  2/6  ━━━━━━━━────────────  193/469  loss 0.3127  acc 88.41 %  5120 images/s  0:41 left
#pragma once
#include <chrono>
#include <cstdint>
#include <string>

namespace holt::app {

/// "0:07", "12:34", "3:02:01".
std::string clock_time(double seconds);

struct ProgressState {
  int64_t epoch = 0, epochs = 0;  ///< counted from 0
  int64_t step = 0, steps = 0;    ///< done, and in all, of this epoch
  double loss = 0, accuracy = 0;  ///< running, of this epoch; accuracy 0 … 1
  double images_per_second = 0;
  double seconds_left = -1;  ///< of the whole run; negative: not known yet
  std::string note = {};     ///< instead of the numbers: "testing"
};

class Progress {
 public:
  /// Writes to stdout; on a terminal, unless `plain`, it rewrites the line.
  explicit Progress(bool plain = false);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// Cheap: a terminal sees at most ten a second, a file each quarter of an epoch.
  void show(const ProgressState& s);
  /// The part done of many jobs, the last one finished, the time left: a terminal sees each, a file each tenth.
  void show_jobs(int64_t done, int64_t total, const std::string& finished, double seconds_left);
  /// What is going on: seen on a terminal only.
  void show_text(const std::string& text);
  /// A line that stays. Takes the place of the rewritten one.
  void line(const std::string& text);
  /// Wipes the rewritten line.
  void clear();
  bool terminal() const { return terminal_; }

 private:
  std::string bar(double fraction) const;
  void write(const std::string& text);

  bool terminal_, utf8_, shown_ = false;
  int64_t last_quarter_ = -1, last_tenth_ = 0;
  std::chrono::steady_clock::time_point last_{};
};

}  // namespace holt::app
