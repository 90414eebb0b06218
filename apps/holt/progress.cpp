#include "apps/holt/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "kernels/error.h"

namespace holt::app {
namespace {

constexpr int kBarWidth = 20;

bool utf8_locale() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"})
    if (const char* value = std::getenv(name); value && *value)
      return std::strstr(value, "UTF-8") || std::strstr(value, "utf8") || std::strstr(value, "UTF8");
  return false;
}

size_t terminal_columns() {
  winsize size{};
  return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

// The first `columns` characters of UTF-8 text: a longer line would wrap, and could not be rewritten.
std::string cut(const std::string& text, size_t columns) {
  size_t seen = 0;
  for (size_t i = 0; i < text.size(); ++i)
    if ((text[i] & 0xC0) != 0x80 && seen++ == columns) return text.substr(0, i);
  return text;
}

}  // namespace

std::string clock_time(double seconds) {
  const auto s = static_cast<int64_t>(std::llround(std::max(0.0, seconds)));
  return s < 3600 ? format("{}:{:02}", s / 60, s % 60) : format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60);
}

Progress::Progress(bool plain) : terminal_(!plain && isatty(STDOUT_FILENO)), utf8_(utf8_locale()) {
  const char* term = std::getenv("TERM");
  if (term && std::strcmp(term, "dumb") == 0) terminal_ = false;
}
Progress::~Progress() { clear(); }

std::string Progress::bar(double fraction) const {
  const int full = static_cast<int>(std::lround(std::clamp(fraction, 0.0, 1.0) * kBarWidth));
  std::string out;
  for (int i = 0; i < kBarWidth; ++i) out += i < full ? (utf8_ ? "━" : "#") : (utf8_ ? "─" : "-");
  return out;
}

void Progress::show(const ProgressState& s) {
  const auto now = std::chrono::steady_clock::now();
  const int64_t quarter = 4 * (s.epoch * s.steps + s.step) / std::max<int64_t>(1, s.steps);
  if (terminal_) {
    if (s.note.empty() && now - last_ < std::chrono::milliseconds(100)) return;
  } else {
    // The end of an epoch has its own line.
    const bool due = last_quarter_ >= 0 && quarter != last_quarter_ && s.note.empty() && s.step < s.steps;
    last_quarter_ = quarter;
    if (!due) return;
  }
  last_ = now;
  const std::string epochs = format("{}", s.epochs);
  std::string text = format("epoch {:>{}}/{}  ", s.epoch + 1, epochs.size(), epochs);
  if (terminal_) text += bar(static_cast<double>(s.step) / static_cast<double>(std::max<int64_t>(1, s.steps))) + "  ";
  text += format("{:>{}}/{}  ", s.step, format("{}", s.steps).size(), s.steps);
  if (!s.note.empty())
    text += s.note;
  else
    text += format("loss {:.4f}  acc {:5.2f} %  {:.0f} images/s", s.loss, 100 * s.accuracy, s.images_per_second);
  if (s.seconds_left >= 0) text += "  " + clock_time(s.seconds_left) + " left";
  write(text);
}

void Progress::show_jobs(int64_t done, int64_t total, const std::string& finished, double seconds_left) {
  const int64_t tenth = 10 * done / std::max<int64_t>(1, total);
  if (!terminal_ && tenth == last_tenth_) return;
  last_tenth_ = tenth;
  const std::string bar_text =
      terminal_ ? bar(static_cast<double>(done) / static_cast<double>(std::max<int64_t>(1, total))) + "  " : "";
  write(format("jobs  {}{}/{}  {} left  {}", bar_text, done, total, clock_time(seconds_left), finished));
}

void Progress::show_text(const std::string& text) {
  const auto now = std::chrono::steady_clock::now();
  if (!terminal_ || now - last_ < std::chrono::milliseconds(100)) return;
  last_ = now;
  write(text);
}

void Progress::write(const std::string& text) {
  if (terminal_) {
    std::printf("\r%s\033[K", cut(text, terminal_columns() - 1).c_str());
    shown_ = true;
  } else {
    std::printf("%s\n", text.c_str());
  }
  std::fflush(stdout);
}

void Progress::line(const std::string& text) {
  clear();
  std::printf("%s\n", text.c_str());
  std::fflush(stdout);
}

void Progress::clear() {
  if (!shown_) return;
  std::printf("\r\033[K");
  std::fflush(stdout);
  shown_ = false;
}

}  // namespace holt::app
