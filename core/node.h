// What stands behind a Tensor and behind a recorded op. Only core's own files need it.
//
//   TensorImpl ──node──▶ Node ──edges──▶ Node …  │ leaf TensorImpl
//
// Edges point from results to inputs, so a graph lives as long as a tensor computed by it. An input that requires no
// gradient has no edge: frozen branches are cut when the op is recorded.
#pragma once
#include <atomic>
#include <vector>

#include "core/autograd.h"
#include "core/tensor.h"

namespace holt {

/// One input of a recorded op: the node that computed it, or the leaf it is, or neither (no gradient wanted).
struct Edge {
  std::shared_ptr<Node> node;
  std::shared_ptr<TensorImpl> leaf;
  Shape shape;  ///< of the input, for the check of the gradient
  DType dtype = DType::f32;
  Device device;
};

struct Node {
  const char* op;
  uint64_t order;  ///< grows with every node: inputs come before results, so it sorts a graph topologically
  std::vector<Edge> edges;
  Backward backward;
  bool released = false;             ///< a backward passed and freed what was saved
  std::shared_ptr<Node> next_dying;  ///< see drop()

  Node(const char* op, std::vector<Edge> edges, Backward backward);
  ~Node();
};

struct TensorImpl {
  std::shared_ptr<Storage> storage;
  int64_t offset = 0;
  Shape shape;
  DType dtype = DType::f32;
  bool requires_grad = false;       ///< of a leaf; results require a gradient if they have a node
  std::shared_ptr<Node> node;       ///< the op that computed this; null for a leaf
  const char* untracked = nullptr;  ///< the op that computed this inside NoGrad, had there been something to record
  Tensor grad;

  ~TensorImpl();
};

/// Lets go of a node. Chains of nodes die one after the other, not each inside the one before: a recursion over
/// 100 000 of them would end the stack. Allocates nothing.
void drop(std::shared_ptr<Node> node) noexcept;

/// Name of the op whose backward this thread runs, or null.
const char*& current_backward();

/// While true (in this thread), a backward that returns a gradient nobody asked for is an Error; gradcheck sets it.
bool& strict_needs();

}  // namespace holt
