// What a recorded piece of work may not bake in. A CUDA graph replays launches with the arguments they were recorded
// with: a number that the host computes anew for each run (a learning rate, a random stream's number) would stay what
// it was, and an upload from host memory would read memory that is gone. While a graph records (kernels/graph.h), such
// numbers go to device memory of the graph's own, which is brought up to date before each replay:
//
//   o.live_stream = recorded_value<uint64_t>([&] { return generator.next++; });   // on the device; null if not
//   recording if (!o.live_stream) o.stream = generator.next++;
#pragma once
#include <cstddef>
#include <cstring>
#include <functional>
#include <type_traits>
#include <utility>
#include <vector>

namespace holt {

/// The numbers of one graph, and what the host does before each replay. A graph first counts what its work asks for
/// (every answer is null, the work runs as usual), then records.
class Recording {
 public:
  /// The calling thread's, or null.
  static Recording* current();

  /// Makes it the calling thread's while it lives.
  class Scope {
   public:
    explicit Scope(Recording& r);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;
  };

  /// From now on it records, numbers at `device`, which has bytes() bytes.
  void start(void* device);
  bool records() const { return device_ != nullptr; }
  /// Device memory that its numbers take.
  size_t bytes() const { return needed_; }

  /// A place for so many bytes, 16-byte aligned; null while counting. Error if there is more than was counted.
  void* place(size_t bytes);
  /// The host's copy of a place: what the device gets before the next replay.
  void* host(void* place);
  void before_replay(std::function<void()> action);
  /// Does what is due before a replay; returns what the device shall get.
  const std::vector<std::byte>& refresh();

 private:
  std::byte* device_ = nullptr;
  size_t needed_ = 0, used_ = 0;
  std::vector<std::byte> host_;
  std::vector<std::function<void()>> actions_;
};

/// Where device code finds `value()` as the host says it before each replay. Null if the thread is not recording: the
/// number itself may then be an argument.
template <class T>
const T* recorded_value(std::function<T()> value) {
  static_assert(std::is_trivially_copyable_v<T> && alignof(T) <= 16);
  Recording* const r = Recording::current();
  void* const p = r ? r->place(sizeof(T)) : nullptr;
  if (p)
    r->before_replay([r, p, value = std::move(value)] {
      const T now = value();
      std::memcpy(r->host(p), &now, sizeof(T));
    });
  return static_cast<const T*>(p);
}

/// Where device code finds these bytes at every replay. Null if the thread is not recording.
const void* recorded_constant(const void* bytes, size_t count);

/// `action` is done before each replay instead of now; false, and nothing happens, if the thread is not recording.
bool recorded_action(std::function<void()> action);

}  // namespace holt
