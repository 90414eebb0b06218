// What the double's files share: the one lock, the machine that is pretended, streams and their queues, errors.
#pragma once
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "arena.h"
#include "double.h"

namespace holt_double {

struct Stream;
struct Capture;

/// A place in a stream's order: reached when that many items are done.
struct Ticket {
  std::shared_ptr<Stream> stream;
  uint64_t position = 0;
};

/// One piece of queued work. `run` may be empty: an item that only waits.
struct Item {
  std::function<void()> run = {};
  std::vector<Ticket> after = {};
};

struct Stream {
  int device = 0;
  bool blocking = false;  ///< ordered with the legacy stream
  bool eager = false;
  uint64_t submitted = 0, done = 0;
  std::deque<Item> items = {};
  std::shared_ptr<Capture> capture = {};  ///< while it records
};

/// How far one captured stream has come, as another knows it: captured items by stream.
using Clock = std::map<const Stream*, uint64_t>;

struct Capture {
  cudaStreamCaptureMode mode;
  uint64_t thread;  ///< that began it
  std::shared_ptr<Stream> origin;
  bool invalid = false;
  std::vector<std::function<void()>> nodes = {};
  std::vector<std::shared_ptr<Stream>> members = {};
  std::map<const Stream*, Clock> clocks = {};
};

struct Event {
  int device = 0;
  bool timing = true, recorded = false;
  Ticket ticket = {};
  std::shared_ptr<double> time = {};  ///< seconds, NaN until reached
  std::shared_ptr<Capture> capture = {};
  Clock clock = {};
};

struct Pool {
  int device = 0;
  uint64_t threshold = 0, used = 0, used_high = 0, reserved = 0, reserved_high = 0;
  std::map<const Stream*, uint64_t> pending = {};  ///< bytes freed in a stream that has not got there yet
};

struct Allocation {
  size_t bytes;
  int device;
  Pool* pool;
};

struct Gpu {
  explicit Gpu(int i) : arena(), default_pool{i} {}
  Arena arena;
  Pool default_pool;
  std::shared_ptr<Stream> legacy = {};
};

struct State {
  State();
  std::mutex lock;
  int driver, runtime = CUDART_VERSION;
  bool new_streams_eager = false;
  size_t total_memory = size_t{2} << 30;
  std::vector<std::unique_ptr<Gpu>> gpus;
  std::map<cudaStream_t, std::shared_ptr<Stream>> streams;
  std::map<std::pair<uint64_t, int>, std::shared_ptr<Stream>> thread_streams;  // of (thread, device)
  std::map<cudaEvent_t, std::shared_ptr<Event>> events;
  std::set<Pool*> pools;
  std::map<uintptr_t, Allocation> allocations;  // of devices, by first byte; as the host sees it
  std::map<uintptr_t, size_t> pinned;
  std::set<cudaGraph_t> graphs;
  std::set<cudaGraphExec_t> executables;
  std::map<std::string, cudaError_t> planned_failures;
  std::set<std::shared_ptr<Capture>> captures;  // under way
  cudaError_t sticky = cudaSuccess;
  std::string fault;
};
State& state();

/// Every function of the API begins with one: it locks, and knows whether the call may go on.
class Call {
 public:
  explicit Call(const char* function);
  cudaError_t refused = cudaSuccess;  ///< sticky error, planned failure, or a call from inside queued work

 private:
  std::unique_lock<std::mutex> lock_;
};

/// Remembers it as the thread's last error and returns it.
cudaError_t report(cudaError_t);
/// Makes the context unusable, as a kernel's fault does.
void break_context(const std::string& why);

uint64_t thread_number();
int& current_device();
bool device_exists(int index);

/// The stream that a handle means to the calling thread; null if it means none.
std::shared_ptr<Stream> find_stream(cudaStream_t);
/// Puts work into a stream, or into its capture. Error if the stream may not take it (another device, broken capture).
cudaError_t submit(const std::shared_ptr<Stream>&, Item);
/// Runs a stream up to a position, and what that waits for.
void run_until(const std::shared_ptr<Stream>&, uint64_t position);
void run_all(const std::shared_ptr<Stream>&);
/// Every stream of the device (-1: of all).
std::vector<std::shared_ptr<Stream>> streams_of(int device);

/// What a call that captures forbid does: error and invalid capture if one is affected by this call.
///   of_stream   a call on a stream that records
///   unsafe      a call that may wait for the GPU or change memory's place (CUDA's "potentially unsafe" ones)
///   legacy      work on the legacy stream while a stream ordered with it records
cudaError_t forbidden_in_capture(const Stream&);
cudaError_t unsafe_in_capture();
cudaError_t legacy_in_capture(int device);

/// Whether [p, p + bytes) lies in one allocation of a device; which one.
const Allocation* device_range(const void* p, size_t bytes);
bool pinned_range(const void* p, size_t bytes);
/// Whether p lies in a device's address space at all.
bool in_device_space(const void* p);

}  // namespace holt_double
