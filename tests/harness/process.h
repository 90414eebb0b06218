// A program under test, started as a process and watched while it runs.
#pragma once
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <vector>

namespace holt::test {

struct Result {
  int code = -1;  ///< exit code; 128 + signal if one ended it
  std::string out, err;
};

/// A running program. stdout and stderr are read while it runs.
class Process {
 public:
  explicit Process(std::vector<std::string> arguments, const std::string& program) {
    int out[2], err[2];
    EXPECT_EQ(pipe2(out, O_CLOEXEC) + pipe2(err, O_CLOEXEC), 0);
    arguments.insert(arguments.begin(), program);
    std::vector<char*> argv;
    for (std::string& a : arguments) argv.push_back(a.data());
    argv.push_back(nullptr);
    pid_ = fork();
    if (pid_ == 0) {
      dup2(out[1], STDOUT_FILENO);
      dup2(err[1], STDERR_FILENO);
      execvp(argv[0], argv.data());
      _exit(127);
    }
    close(out[1]), close(err[1]);
    fds_[0] = {out[0], POLLIN, 0}, fds_[1] = {err[0], POLLIN, 0};
  }
  ~Process() {
    if (pid_ > 0 && !waited_) kill(pid_, SIGKILL), waitpid(pid_, nullptr, 0);
    for (pollfd& f : fds_)
      if (f.fd >= 0) close(f.fd);
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  void send(int signal) const { kill(pid_, signal); }

  /// Reads until stdout holds `text`; false if the program ends first.
  bool wait_for(const std::string& text) {
    while (result_.out.find(text) == std::string::npos)
      if (!read_some()) return false;
    return true;
  }
  /// Reads to the end.
  Result finish() {
    while (read_some()) {}
    int status = 0;
    waitpid(pid_, &status, 0);
    waited_ = true;
    result_.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return result_;
  }

 private:
  bool read_some() {
    if (fds_[0].fd < 0 && fds_[1].fd < 0) return false;
    if (poll(fds_.data(), fds_.size(), 300'000) <= 0) {
      ADD_FAILURE() << "no output for five minutes; so far:\n" << result_.out << result_.err;
      kill(pid_, SIGKILL);
      return false;
    }
    for (size_t i = 0; i < fds_.size(); ++i) {
      if (fds_[i].fd < 0 || !fds_[i].revents) continue;
      char buffer[4096];
      const ssize_t n = read(fds_[i].fd, buffer, sizeof buffer);
      if (n > 0) {
        (i == 0 ? result_.out : result_.err).append(buffer, static_cast<size_t>(n));
      } else {
        close(fds_[i].fd);
        fds_[i].fd = -1;
      }
    }
    return true;
  }

  pid_t pid_;
  bool waited_ = false;
  std::vector<pollfd> fds_{2};  // stdout, stderr; no array: GCC 12 sees poll() overflow one, under the sanitizers
  Result result_;
};

}  // namespace holt::test
