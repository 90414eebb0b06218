// Backend descriptors: attributes with their types and counts, and what they mean when finalised.
#pragma once
#include <cstddef>
#include <map>
#include <memory>
#include <vector>

#include "double.h"
#include "graph.h"

namespace holt_cudnn {

struct Descriptor;
using Shared = std::shared_ptr<const Descriptor>;

struct Value {
  int64_t count = 0;
  std::vector<std::byte> bytes = {};
  std::vector<Shared> references = {};

  template <class T>
  T as(size_t i = 0) const {
    T x;
    __builtin_memcpy(&x, bytes.data() + i * sizeof(T), sizeof(T));
    return x;
  }
};

struct Descriptor {
  explicit Descriptor(cudnnBackendDescriptorType_t t) : type(t) {}

  cudnnBackendDescriptorType_t type;
  bool finalised = false;
  std::map<cudnnBackendAttributeName_t, Value> attributes = {};

  // Set by finalise(), or by the query that made it.
  Tensor tensor = {};
  std::shared_ptr<const Graph> graph = {};  ///< of the graph, and of engines, configurations and plans for it
  int64_t engine = -1;

  const Value* find(cudnnBackendAttributeName_t name) const;
  /// Throws Refusal for what is wrong, incomplete or not supported.
  void finalise();
};

/// Stores a checked copy. Throws Refusal.
void set_attribute(Descriptor&, cudnnBackendAttributeName_t, cudnnBackendAttributeType_t, int64_t count,
                   const void* elements, const std::vector<Shared>& references);

size_t size_of(cudnnBackendAttributeType_t);

}  // namespace holt_cudnn
