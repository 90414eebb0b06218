// The lazy queues: what is submitted waits in its stream until run_until() is asked for its position.
#include "queue.h"

#include <exception>

#include "state.h"

namespace holt_double {
namespace {

// Whose memory is accessible; -1: nobody's. The lock is held.
int open_device = -1;
int depth = 0;

void open(int device) {
  if (open_device == device) return;
  if (open_device >= 0) state().gpus[static_cast<size_t>(open_device)]->arena.close();
  if (device >= 0) state().gpus[static_cast<size_t>(device)]->arena.open();
  open_device = device;
}

void execute(const Item& item, int device) {
  if (!item.run || state().sticky != cudaSuccess) return;
  open(device);
  inside_work() = true;
  try {
    item.run();
  } catch (const std::exception& e) { break_context(e.what()); } catch (...) {
    break_context("a kernel threw what is no std::exception");
  }
  inside_work() = false;
}

}  // namespace

bool& inside_work() {
  thread_local bool inside = false;
  return inside;
}

void run_until(const std::shared_ptr<Stream>& stream, uint64_t position) {
  ++depth;
  while (stream->done < position) {
    const Item item = std::move(stream->items.front());
    stream->items.pop_front();
    for (const Ticket& t : item.after) run_until(t.stream, t.position);
    execute(item, stream->device);
    ++stream->done;
  }
  if (--depth == 0) open(-1);
}
void run_all(const std::shared_ptr<Stream>& stream) { run_until(stream, stream->submitted); }

std::vector<std::shared_ptr<Stream>> streams_of(int device) {
  std::vector<std::shared_ptr<Stream>> result;
  const auto add = [&](const std::shared_ptr<Stream>& s) {
    if (device < 0 || s->device == device) result.push_back(s);
  };
  State& s = state();
  for (const auto& [handle, stream] : s.streams) add(stream);
  for (const auto& [key, stream] : s.thread_streams) add(stream);
  for (const auto& gpu : s.gpus) add(gpu->legacy);
  return result;
}

std::shared_ptr<Stream> find_stream(cudaStream_t handle) {
  State& s = state();
  const int device = current_device();
  if (!device_exists(device)) return nullptr;
  if (!handle || handle == cudaStreamLegacy) return s.gpus[static_cast<size_t>(device)]->legacy;
  if (handle == cudaStreamPerThread) {
    auto& mine = s.thread_streams[{thread_number(), device}];
    if (!mine) mine = std::make_shared<Stream>(Stream{.device = device, .blocking = true});
    return mine;
  }
  const auto found = s.streams.find(handle);
  return found == s.streams.end() ? nullptr : found->second;
}

cudaError_t submit(const std::shared_ptr<Stream>& stream, Item item) {
  State& s = state();
  if (stream->device != current_device()) return cudaErrorInvalidResourceHandle;
  if (stream->capture) {
    if (stream->capture->invalid) return cudaErrorStreamCaptureInvalidated;
    ++stream->capture->clocks[stream.get()][stream.get()];
    stream->capture->nodes.push_back(std::move(item.run));
    return cudaSuccess;
  }
  const auto& legacy = s.gpus[static_cast<size_t>(stream->device)]->legacy;
  if (stream == legacy) {
    if (const cudaError_t refused = legacy_in_capture(stream->device)) return refused;
    for (const auto& other : streams_of(stream->device))
      if (other->blocking && other != legacy) item.after.push_back({other, other->submitted});
  } else if (stream->blocking) {
    item.after.push_back({legacy, legacy->submitted});
  }
  stream->items.push_back(std::move(item));
  ++stream->submitted;
  if (stream->eager) run_all(stream);
  return cudaSuccess;
}

}  // namespace holt_double

using namespace holt_double;

extern "C" {

void holt_double_enqueue(cudaStream_t handle, void (*run)(void*), void* what, void (*destroy)(void*)) {
  const std::shared_ptr<void> owned(what, destroy);
  const Call call("launch");
  if (call.refused) return;
  const auto stream = find_stream(handle);
  report(stream ? submit(stream, {.run = [run, owned] { run(owned.get()); }}) : cudaErrorInvalidResourceHandle);
}

void holt_double_set_eager(cudaStream_t handle, int eager) {
  const std::lock_guard lock(state().lock);
  if (const auto stream = find_stream(handle)) {
    stream->eager = eager != 0;
    if (stream->eager) run_all(stream);
  }
}

void holt_double_set_new_streams_eager(int eager) {
  const std::lock_guard lock(state().lock);
  state().new_streams_eager = eager != 0;
}

size_t holt_double_pending() {
  const std::lock_guard lock(state().lock);
  size_t n = 0;
  for (const auto& stream : streams_of(-1)) n += stream->items.size();
  return n;
}
}
