// The exported functions.
#include <cuda_runtime_api.h>

#include <cstring>
#include <mutex>
#include <set>

#include "descriptor.h"
#include "tests/doubles/cudart/double.h"

struct cudnnContext {
  int device = 0;
  cudaStream_t stream = nullptr;
};

namespace holt_cudnn {
namespace {

// What a cudnnBackendDescriptor_t points to. Queries re-point it to what they found.
struct Box {
  std::shared_ptr<Descriptor> descriptor;
};

struct State {
  std::mutex mutex;
  std::set<const void*> boxes, handles;
  HoltCudnnCounts counts{};
  bool refuse = false;
  void (*mutate)(cudnnBackendDescriptorType_t, cudnnBackendAttributeName_t, int64_t, void*, void*) = nullptr;
  void* context = nullptr;
};
State& state() {
  static State& s = *new State;
  return s;
}
thread_local std::string last_error;

// Runs f; a Refusal becomes its status.
template <class F>
cudnnStatus_t call(F&& f) {
  const std::lock_guard lock(state().mutex);
  try {
    f();
    return CUDNN_STATUS_SUCCESS;
  } catch (const Refusal& r) {
    last_error = r.what();
    return r.status;
  }
}

Box& box(const void* p) {
  require(state().boxes.contains(p), "no descriptor");
  return *static_cast<Box*>(const_cast<void*>(p));
}
Descriptor& descriptor(const void* p) { return *box(p).descriptor; }
cudnnContext& context(cudnnHandle_t h) {
  require(state().handles.contains(h), "no handle");
  return *h;
}

std::shared_ptr<Descriptor> engine_of(const Descriptor& d, cudnnBackendDescriptorType_t type) {
  auto e = std::make_shared<Descriptor>(type);
  e->finalised = true, e->graph = d.graph, e->engine = d.engine;
  return e;
}

// A query's answer: elements of T, as many as there is room for.
template <class T>
void answer(const std::vector<T>& values, int64_t room, int64_t* count, void* elements) {
  if (count) *count = static_cast<int64_t>(values.size());
  const size_t given = std::min(values.size(), static_cast<size_t>(room));
  if (elements && given > 0) std::memcpy(elements, values.data(), sizeof(T) * given);
}

// A query's answer: descriptors of the caller's, re-pointed.
void answer(const std::vector<std::shared_ptr<Descriptor>>& found, int64_t room, int64_t* count, void* elements) {
  if (!elements || room == 0) {
    if (count) *count = static_cast<int64_t>(found.size());
    return;
  }
  const size_t given = std::min(found.size(), static_cast<size_t>(room));
  for (size_t i = 0; i < given; ++i) {
    Box& b = box(static_cast<cudnnBackendDescriptor_t*>(elements)[i]);
    require(b.descriptor->type == found[i]->type, "a query's descriptor is of another kind");
    b.descriptor = found[i];
  }
  if (count) *count = static_cast<int64_t>(given);
}

void get(const Descriptor& d, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t room,
         int64_t* count, void* elements) {
  require(d.finalised, "a query before the descriptor is finalised");
  const auto typed = [&](cudnnBackendAttributeType_t t) { require(type == t, "a query has another type"); };
  switch (name) {
    case CUDNN_ATTR_OPERATIONGRAPH_ENGINE_GLOBAL_COUNT:
      typed(CUDNN_TYPE_INT64);
      return answer(std::vector<int64_t>{21}, room, count, elements);
    case CUDNN_ATTR_ENGINEHEUR_RESULTS: {
      typed(CUDNN_TYPE_BACKEND_DESCRIPTOR);
      std::vector<std::shared_ptr<Descriptor>> found;
      if (!state().refuse)
        for (const int64_t e : engines(*d.graph, d.find(CUDNN_ATTR_ENGINEHEUR_MODE)->as<cudnnBackendHeurMode_t>())) {
          found.push_back(engine_of(d, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR));
          found.back()->engine = e;
        }
      return answer(found, room, count, elements);
    }
    case CUDNN_ATTR_ENGINECFG_ENGINE:
      typed(CUDNN_TYPE_BACKEND_DESCRIPTOR);
      return answer({engine_of(d, CUDNN_BACKEND_ENGINE_DESCRIPTOR)}, room, count, elements);
    case CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG:
      typed(CUDNN_TYPE_BACKEND_DESCRIPTOR);
      return answer({engine_of(d, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR)}, room, count, elements);
    case CUDNN_ATTR_ENGINECFG_KNOB_CHOICES:
      typed(CUDNN_TYPE_BACKEND_DESCRIPTOR);
      return answer(std::vector<std::shared_ptr<Descriptor>>{}, room, count, elements);
    case CUDNN_ATTR_ENGINE_GLOBAL_INDEX:
      typed(CUDNN_TYPE_INT64);
      return answer(std::vector<int64_t>{d.engine}, room, count, elements);
    case CUDNN_ATTR_ENGINE_NUMERICAL_NOTE:
      typed(CUDNN_TYPE_NUMERICAL_NOTE);
      return answer(notes(d.engine), room, count, elements);
    case CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE:
      typed(CUDNN_TYPE_BEHAVIOR_NOTE);
      return answer(std::vector<cudnnBackendBehaviorNote_t>{}, room, count, elements);
    case CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE:
      typed(CUDNN_TYPE_INT64);
      return answer(std::vector<int64_t>{workspace_bytes(*d.graph, d.engine)}, room, count, elements);
    case CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION: {
      typed(CUDNN_TYPE_CHAR);
      const std::string json = to_json(*d.graph, d.engine);
      return answer(std::vector<char>(json.begin(), json.end()), room, count, elements);
    }
    default:
      throw Refusal(CUDNN_STATUS_NOT_SUPPORTED, "no query for attribute " + std::to_string(name));
  }
}

// One execution, as it waits in the stream.
struct Work {
  std::shared_ptr<const Graph> graph;
  int64_t engine;
  std::vector<void*> pointers;
  void* workspace;
};

void run(void* p) {
  const Work& w = *static_cast<Work*>(p);
  const auto overwrite = [&](int byte) {
    if (w.workspace) std::memset(w.workspace, byte, static_cast<size_t>(workspace_bytes(*w.graph, w.engine)));
  };
  overwrite(0xFF);
  compute(*w.graph, w.engine, w.pointers);
  overwrite(0xA5);
}

// Device memory of the handle's GPU, or a Refusal.
void check_memory(const void* p, int device, const char* what) {
  cudaPointerAttributes a{};
  const bool known = cudaPointerGetAttributes(&a, p) == cudaSuccess;
  cudaGetLastError();
  require(known && a.type == cudaMemoryTypeDevice && a.device == device,
          std::string(what) + " is not memory of the handle's GPU");
}

void execute(cudnnHandle_t handle, const Descriptor& plan, const Descriptor& pack) {
  const cudnnContext& c = context(handle);
  require(plan.type == CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR && plan.finalised, "no plan");
  require(pack.type == CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR && pack.finalised, "no variant pack");
  require(plan.engine == 7 || plan.engine == 1, "an engine that holt's contract rules out");
  const Value &ids = *pack.find(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS),
              &pointers = *pack.find(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS);
  const std::vector<Tensor> tensors = plan.graph->tensors();
  require(ids.count == static_cast<int64_t>(tensors.size()), "not as many ids as the graph has tensors");
  Work work{plan.graph, plan.engine, {}, nullptr};
  for (const Tensor& t : tensors) {
    void* found = nullptr;
    for (size_t i = 0; i < static_cast<size_t>(ids.count); ++i)
      if (ids.as<int64_t>(i) == t.id) found = pointers.as<void*>(i);
    require(found, "a tensor of the graph has no pointer");
    require(reinterpret_cast<uintptr_t>(found) % static_cast<uintptr_t>(t.alignment) == 0,
            "a pointer is not aligned as its tensor declares");
    check_memory(found, c.device, "a tensor");
    work.pointers.push_back(found);
  }
  const auto begin = [&](size_t i) { return reinterpret_cast<uintptr_t>(work.pointers[i]); };
  for (size_t i = 0; i < tensors.size(); ++i)
    for (size_t j = 0; j < i; ++j)
      require(begin(i) + static_cast<uintptr_t>(tensors[i].bytes()) <= begin(j) ||
                  begin(j) + static_cast<uintptr_t>(tensors[j].bytes()) <= begin(i),
              "two tensors overlap");
  if (workspace_bytes(*plan.graph, plan.engine) > 0) {
    work.workspace = pack.find(CUDNN_ATTR_VARIANT_PACK_WORKSPACE)->as<void*>();
    require(work.workspace != nullptr, "the plan needs a workspace");
    require(reinterpret_cast<uintptr_t>(work.workspace) % 16 == 0, "the workspace is not aligned");
    check_memory(work.workspace, c.device, "the workspace");
  }
  holt_double_enqueue(c.stream, run, new Work(std::move(work)), [](void* p) { delete static_cast<Work*>(p); });
  require(cudaPeekAtLastError() == cudaSuccess, "the stream takes no work", CUDNN_STATUS_EXECUTION_FAILED);
  ++state().counts.executions;
}

}  // namespace
}  // namespace holt_cudnn

using namespace holt_cudnn;

extern "C" {

size_t cudnnGetVersion(void) { return CUDNN_VERSION; }
size_t cudnnGetCudartVersion(void) { return CUDART_VERSION; }
const char* cudnnGetErrorString(cudnnStatus_t s) {
  return s == CUDNN_STATUS_SUCCESS            ? "CUDNN_STATUS_SUCCESS"
         : s == CUDNN_STATUS_NOT_SUPPORTED    ? "CUDNN_STATUS_NOT_SUPPORTED"
         : s == CUDNN_STATUS_EXECUTION_FAILED ? "CUDNN_STATUS_EXECUTION_FAILED"
                                              : "CUDNN_STATUS_BAD_PARAM";
}
void cudnnGetLastErrorString(char* message, size_t size) {
  std::strncpy(message, last_error.c_str(), size);
  if (size) message[size - 1] = '\0';
}

cudnnStatus_t cudnnCreate(cudnnHandle_t* handle) {
  return call([&] {
    auto* c = new cudnnContext;
    const bool found = cudaGetDevice(&c->device) == cudaSuccess;
    if (!found) delete c;
    require(found, "no device", CUDNN_STATUS_NOT_INITIALIZED);
    state().handles.insert(c);
    *handle = c;
  });
}
cudnnStatus_t cudnnDestroy(cudnnHandle_t handle) {
  return call([&] {
    delete &context(handle);
    state().handles.erase(handle);
  });
}
cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream) {
  return call([&] { context(handle).stream = stream; });
}
cudnnStatus_t cudnnGetStream(cudnnHandle_t handle, cudaStream_t* stream) {
  return call([&] { *stream = context(handle).stream; });
}

cudnnStatus_t cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t type, cudnnBackendDescriptor_t* descriptor) {
  return call([&] {
    auto* b = new Box{std::make_shared<Descriptor>(type)};
    state().boxes.insert(b);
    *descriptor = b;
  });
}
cudnnStatus_t cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t d) {
  return call([&] {
    delete &box(d);
    state().boxes.erase(d);
  });
}
cudnnStatus_t cudnnBackendInitialize(cudnnBackendDescriptor_t d) {
  return call([&] { box(d).descriptor = std::make_shared<Descriptor>(descriptor(d).type); });
}
cudnnStatus_t cudnnBackendFinalize(cudnnBackendDescriptor_t d) {
  return call([&] {
    Descriptor& x = descriptor(d);
    x.finalise();
    state().counts.heuristics += x.type == CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR;
    state().counts.plans += x.type == CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR;
  });
}
cudnnStatus_t cudnnBackendSetAttribute(cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, int64_t count, const void* elements) {
  return call([&] {
    Descriptor& x = descriptor(d);
    std::vector<std::byte> copy;
    if (state().mutate && elements && count > 0) {
      copy.resize(static_cast<size_t>(count) * size_of(type));
      std::memcpy(copy.data(), elements, copy.size());
      state().mutate(x.type, name, count, copy.data(), state().context);
      elements = copy.data();
    }
    std::vector<Shared> references;
    if (type == CUDNN_TYPE_BACKEND_DESCRIPTOR)
      for (int64_t i = 0; i < count; ++i)
        references.push_back(box(static_cast<const cudnnBackendDescriptor_t*>(elements)[i]).descriptor);
    set_attribute(x, name, type, count, elements, references);
  });
}
cudnnStatus_t cudnnBackendGetAttribute(cudnnBackendDescriptor_t const d, cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, int64_t room, int64_t* count, void* elements) {
  return call([&] { get(descriptor(d), name, type, room, count, elements); });
}
cudnnStatus_t cudnnBackendExecute(cudnnHandle_t handle, cudnnBackendDescriptor_t plan, cudnnBackendDescriptor_t pack) {
  return call([&] { execute(handle, descriptor(plan), descriptor(pack)); });
}

HoltCudnnCounts holt_cudnn_counts(void) {
  const std::lock_guard lock(state().mutex);
  return state().counts;
}
void holt_cudnn_refuse(int refuse) {
  const std::lock_guard lock(state().mutex);
  state().refuse = refuse != 0;
}
void holt_cudnn_mutate(void (*mutate)(cudnnBackendDescriptorType_t, cudnnBackendAttributeName_t, int64_t, void*, void*),
                       void* context) {
  const std::lock_guard lock(state().mutex);
  state().mutate = mutate, state().context = context;
}
int64_t holt_cudnn_live(void) {
  const std::lock_guard lock(state().mutex);
  return static_cast<int64_t>(state().boxes.size() + state().handles.size());
}
}
