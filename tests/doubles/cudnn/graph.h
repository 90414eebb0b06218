// A convolution graph as the double understands it, its engines, and its computation.
#pragma once
#include <cudnn.h>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace holt_cudnn {

/// Becomes the status and the text of the call that it ends.
struct Refusal : std::runtime_error {
  Refusal(cudnnStatus_t s, const std::string& text) : std::runtime_error(text), status(s) {}
  cudnnStatus_t status;
};
inline void require(bool ok, const std::string& text, cudnnStatus_t status = CUDNN_STATUS_BAD_PARAM) {
  if (!ok) throw Refusal(status, text);
}

struct Tensor {
  int64_t id = 0, alignment = 0;
  cudnnDataType_t type = CUDNN_DATA_FLOAT;
  std::array<int64_t, 4> dims{}, strides{};  ///< N, C, H, W
  bool is_virtual = false;
  int64_t elements() const { return dims[0] * dims[1] * dims[2] * dims[3]; }
  int64_t bytes() const { return elements() * (type == CUDNN_DATA_FLOAT ? 4 : 2); }
};

struct Window {
  std::array<int64_t, 2> pre{}, post{}, stride{}, dilation{};
};

enum class Kind { forward, data, weights };

/// A convolution, and what follows it.
struct Graph {
  Kind kind = Kind::forward;
  Window window;
  Tensor x, w, y;  ///< by role: `data` writes x, `weights` writes w. With an epilogue y is what it writes
  std::optional<Tensor> bias;
  bool relu = false;

  const Tensor& output() const { return kind == Kind::forward ? y : kind == Kind::data ? x : w; }
  std::vector<Tensor> tensors() const;  ///< in memory
};

/// Throws Refusal if the sizes do not fit each other.
void check_sizes(const Graph&);

std::vector<int64_t> engines(const Graph&, cudnnBackendHeurMode_t);
std::vector<cudnnBackendNumericalNote_t> notes(int64_t engine);
int64_t workspace_bytes(const Graph&, int64_t engine);

std::string to_json(const Graph&, int64_t engine);
/// Throws Refusal.
std::pair<Graph, int64_t> from_json(const std::string& text);

/// pointers: in the order of graph.tensors().
void compute(const Graph&, int64_t engine, const std::vector<void*>& pointers);

}  // namespace holt_cudnn
