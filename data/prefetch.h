// A thread that makes things ahead of their use, at most `depth` of them, in order.
//
// What the maker throws is thrown by next(), after everything made before it. Destruction stops the thread, also in the
// middle.
#pragma once
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

namespace holt::data {

template <class T>
class Prefetch {
 public:
  /// `make` is called by the thread until it returns nothing.
  Prefetch(std::function<std::optional<T>()> make, size_t depth)
      : make_(std::move(make)), depth_(depth), thread_([this] { run(); }) {}
  ~Prefetch() {
    {
      std::lock_guard lock(mutex_);
      stop_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }
  Prefetch(const Prefetch&) = delete;
  Prefetch& operator=(const Prefetch&) = delete;

  /// The next thing; nothing at the end, and from then on.
  std::optional<T> next() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !ready_.empty() || ended_; });
    if (ready_.empty()) {
      if (error_) std::rethrow_exception(error_);
      return std::nullopt;
    }
    std::optional<T> result(std::move(ready_.front()));
    ready_.pop_front();
    lock.unlock();
    changed_.notify_all();
    return result;
  }

 private:
  void run() {
    std::exception_ptr error;
    try {
      while (true) {
        std::optional<T> made = make_();
        if (!made) break;
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return ready_.size() < depth_ || stop_; });
        if (stop_) return;
        ready_.push_back(std::move(*made));
        lock.unlock();
        changed_.notify_all();
      }
    } catch (...) { error = std::current_exception(); }
    {
      std::lock_guard lock(mutex_);
      ended_ = true;
      error_ = error;
    }
    changed_.notify_all();
  }

  std::function<std::optional<T>()> make_;
  size_t depth_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<T> ready_;
  bool stop_ = false, ended_ = false;
  std::exception_ptr error_;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace holt::data
