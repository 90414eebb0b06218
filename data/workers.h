// Threads that fill things ahead of their use, piece by piece: several work on one thing, so that the next one is soon
// there, and things come out in order.
//
// A thing is begun, its pieces are filled in any order by any thread, then it is finished; what it becomes must not
// depend on who did what. At most `depth` things are under way or waiting. What is thrown while a thing is made is
// thrown by next() in its place (of several faults, the one of the first piece); after that there is nothing more.
// Destruction stops the threads, also in the middle.
#pragma once
#include <algorithm>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

namespace holt::data {

template <class T>
struct Assembly {
  std::function<T(int64_t)> begin;          ///< thing number n
  std::function<int64_t(const T&)> pieces;  ///< at least 1
  std::function<void(T&, int64_t)> fill;    ///< piece k; called by several threads at once
  std::function<void(T&, int64_t)> finish;  ///< thing n, all pieces filled
};

template <class T>
class Workers {
 public:
  /// Things first … last − 1 by `threads` ≥ 1 threads.
  Workers(Assembly<T> assembly, int64_t first, int64_t last, int threads, int64_t depth)
      : assembly_(std::move(assembly)),
        next_(first),
        last_(last),
        depth_(static_cast<size_t>(std::max<int64_t>(1, depth))) {
    for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { run(); });
  }
  ~Workers() {
    {
      std::lock_guard lock(mutex_);
      stop_ = true;
    }
    changed_.notify_all();
    for (std::thread& t : threads_) t.join();
  }
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  /// The next thing; nothing at the end, and from then on. After a fault, that again.
  std::optional<T> next() {
    std::unique_lock lock(mutex_);
    if (error_) std::rethrow_exception(error_);
    changed_.wait(lock, [&] { return things_.empty() ? next_ == last_ : things_.front()->done; });
    if (things_.empty()) return std::nullopt;
    const std::unique_ptr<Thing> thing = std::move(things_.front());
    things_.pop_front();
    if (thing->error) {
      error_ = thing->error;
      next_ = last_;
      for (const auto& t : things_) t->taken = t->pieces;  // what was made ahead comes to nothing
      std::rethrow_exception(error_);
    }
    lock.unlock();
    changed_.notify_all();
    return std::move(thing->value);
  }

 private:
  struct Thing {
    int64_t number = 0, pieces = 0, taken = 0, filled = 0;
    std::optional<T> value = {};
    std::exception_ptr error = {};
    int64_t fault = 0;  // the piece of `error`
    bool done = false;
  };

  // A thing with a piece to fill, begun now if need be; null if there is none.
  Thing* open() {
    for (const auto& t : things_)
      if (t->taken < t->pieces) return t.get();
    if (next_ == last_ || things_.size() >= depth_) return nullptr;
    auto t = std::make_unique<Thing>();
    t->number = next_++;
    try {
      t->value = assembly_.begin(t->number);
      t->pieces = assembly_.pieces(*t->value);
    } catch (...) {
      t->error = std::current_exception();
      t->done = true;
      t->pieces = 0;
      next_ = last_;
    }
    things_.push_back(std::move(t));
    return things_.back().get();
  }

  void run() {
    std::unique_lock lock(mutex_);
    while (true) {
      Thing* t = nullptr;
      changed_.wait(lock, [&] { return stop_ || (t = open()) != nullptr; });
      if (stop_) return;
      if (t->done) {  // it could not be begun
        changed_.notify_all();
        continue;
      }
      const int64_t piece = t->taken++;
      lock.unlock();
      std::exception_ptr error = attempt([&] { assembly_.fill(*t->value, piece); });
      lock.lock();
      if (error && (!t->error || piece < t->fault)) t->error = error, t->fault = piece;
      if (++t->filled == t->pieces) {
        if (!t->error) {
          lock.unlock();
          error = attempt([&] { assembly_.finish(*t->value, t->number); });
          lock.lock();
          t->error = error;
        }
        t->done = true;
      }
      changed_.notify_all();
    }
  }

  template <class F>
  static std::exception_ptr attempt(F&& f) {
    try {
      f();
      return {};
    } catch (...) { return std::current_exception(); }
  }

  Assembly<T> assembly_;
  int64_t next_, last_;
  size_t depth_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::unique_ptr<Thing>> things_;  // in order; the first is the next to come out
  std::exception_ptr error_;
  bool stop_ = false;
  std::vector<std::thread> threads_;  // last: they use all of the above
};

}  // namespace holt::data
