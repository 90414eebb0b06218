// The backward walk.
//
//   1. collect   the nodes that the root reaches, iteratively (a graph may be 100 000 nodes deep)
//   2. prune     inputs before results: a node is useful if a trainable leaf, or a useful node, is among its inputs
//   3. run       results before inputs: each useful node maps its summed dy to the gradients of its useful inputs
//
// Order comes from the number that a node got when it was recorded. A node's dy is freed before, and what it saved
// right after, its gradients are handed on, so the walk never holds more than its front.
#include <algorithm>
#include <unordered_map>
#include <utility>

#include "core/autocast.h"
#include "core/finite.h"
#include "core/node.h"
#include "core/ops.h"
#include "kernels/memory.h"
#include "kernels/trace.h"

namespace holt {
namespace {

struct Visit {
  std::shared_ptr<Node> node;
  bool useful = false;
  Tensor dy = {};
};

class Walk;
// The node whose backward this thread runs.
struct Running {
  Walk* walk = nullptr;
  const Node* node = nullptr;
};
thread_local Running running;

class Walk {
 public:
  Walk(const std::shared_ptr<Node>& root, Tensor seed) {
    collect(root);
    prune();
    visits_.back().dy = std::move(seed);
  }

  Tensor take(const Edge& e) { return e.node ? std::exchange(at(e).dy, {}) : Tensor{}; }

  void run(bool retain_graph) {
    for (size_t i = visits_.size(); i-- > 0;) {
      if (visits_[i].useful) visit(visits_[i]);
      if (!retain_graph) release(*visits_[i].node);
    }
  }

 private:
  void collect(const std::shared_ptr<Node>& root) {
    index_.emplace(root.get(), 0);
    visits_.push_back({root});
    for (size_t i = 0; i < visits_.size(); ++i) {  // grows while it is walked
      const Node& node = *visits_[i].node;
      check(!node.released,
            "backward: the graph through '{}' was freed by an earlier backward; pass retain_graph to that one",
            node.op);
      for (const Edge& e : node.edges)
        if (e.node && index_.emplace(e.node.get(), 0).second) visits_.push_back({e.node});
    }
    std::sort(visits_.begin(), visits_.end(),
              [](const Visit& a, const Visit& b) { return a.node->order < b.node->order; });
    for (size_t i = 0; i < visits_.size(); ++i) index_[visits_[i].node.get()] = i;
  }

  Visit& at(const Edge& e) { return visits_[index_.at(e.node.get())]; }

  // Asked again at every backward: a leaf may have been frozen since the forward.
  bool needed(const Edge& e) { return e.leaf ? e.leaf->requires_grad : e.node && at(e).useful; }

  void prune() {
    for (Visit& v : visits_)
      v.useful = std::any_of(v.node->edges.begin(), v.node->edges.end(), [&](const Edge& e) { return needed(e); });
  }

  void visit(Visit& v) {
    const Node& node = *v.node;
    Needs needs;
    for (const Edge& e : node.edges) needs.push_back(needed(e));
    Grads grads = call(node, std::exchange(v.dy, {}), needs);
    check(grads.size() == node.edges.size(), "{}: internal error: {} inputs, but its backward returned {} gradients",
          node.op, node.edges.size(), grads.size());
    for (size_t i = 0; i < grads.size(); ++i) {
      check_gradient(node, i, needs[i], grads[i]);
      if (!needs[i]) grads[i] = {};  // lets go first, so that accumulate() sees who else holds a gradient
    }
    for (size_t i = 0; i < grads.size(); ++i)
      if (needs[i]) accumulate(node.edges[i], std::exchange(grads[i], {}));
  }

  Grads call(const Node& node, Tensor dy, const Needs& needs) {
    const TraceRange trace(node.op, "backward of ");
    struct Current {
      const char* previous;
      Running previous_running;
      Current(Walk* walk, const Node& n)
          : previous(std::exchange(current_backward(), n.op)), previous_running(std::exchange(running, {walk, &n})) {}
      ~Current() {
        current_backward() = previous;
        running = previous_running;
      }
    };
    const Current current(this, node);
    Grads grads = node.backward(dy, needs);
    BackwardHook::tell(node.op, dy, grads);
    return grads;
  }

  static void check_gradient(const Node& node, size_t i, bool needed, const Tensor& g) {
    const Edge& e = node.edges[i];
    if (!needed) {
      check(!g || !strict_needs(), "{}: its backward computed the gradient of input {}, which nobody needs", node.op,
            i);
      return;
    }
    check(g && g.shape() == e.shape && g.dtype() == e.dtype && g.device() == e.device,
          "{}: internal error: the gradient of input {} must be {} {} on {}, its backward returned {}", node.op, i,
          e.dtype, e.shape, e.device, g);
    if (check_finite())
      if (const int64_t k = first_nonfinite(g); k >= 0)
        fail("{}: the backward's gradient of input {}, {}, has {} at element {}", node.op, i, g,
             g.to_vector<double>()[static_cast<size_t>(k)], k);
  }

  void accumulate(const Edge& e, Tensor g) {
    if (e.leaf)
      add_to_leaf(*e.leaf, std::move(g));
    else if (Tensor& dy = at(e).dy; dy)
      dy = add(dy, g);
    else
      dy = std::move(g);
  }

 public:
  // A leaf's gradient belongs to it alone: clipping and optimisers write to it in place, while an op may return dy
  // itself, or views of it, for several inputs.
  static void add_to_leaf(TensorImpl& leaf, Tensor g) {
    if (leaf.grad) {
      leaf.grad = add(leaf.grad, g);
      return;
    }
    const bool alone = g.impl().use_count() == 1 && g.storage().use_count() == 1 && g.storage()->bytes() == g.bytes();
    if (!alone) {
      const Tensor copy = empty_like(g);
      copy_bytes(copy.device(), copy.raw(), g.device(), g.raw(), g.bytes());
      g = copy;
    }
    leaf.grad = std::move(g);
  }

 private:
  static void release(Node& node) {
    node.released = true;
    node.backward = nullptr;
    for (Edge& e : std::exchange(node.edges, {}))
      if (e.node) drop(std::move(e.node));
  }

  std::vector<Visit> visits_;
  std::unordered_map<const Node*, size_t> index_;
};

}  // namespace

Tensor take_gradient(size_t i) {
  check(running.walk && i < running.node->edges.size(), "take_gradient: no backward is running, or it has no input {}",
        i);
  return running.walk->take(running.node->edges[i]);
}

void Tensor::backward(Tensor seed, bool retain_graph) const {
  check(defined(), "backward: the tensor is undefined");
  check(impl_->untracked == nullptr, "backward: {} was computed by '{}' inside NoGrad: there is no graph to follow",
        *this, impl_->untracked ? impl_->untracked : "");
  check(requires_grad(), "backward: {} depends on nothing that requires a gradient", *this);
  if (seed) {
    check(seed.shape() == shape() && seed.dtype() == dtype() && seed.device() == device(),
          "backward: the seed must be {}, got {}", *this, seed);
  } else {
    check(numel() == 1, "backward: {} has {} elements; pass a seed of its shape, or reduce it to one", *this, numel());
    seed = full(shape(), 1, dtype(), device());
  }
  const NoGrad no_grad;                 // the backward of ops is itself made of ops,
  const Autocast as_it_is(DType::f32);  // in the dtypes that the forward chose
  if (impl_->node)
    Walk(impl_->node, std::move(seed)).run(retain_graph);
  else
    Walk::add_to_leaf(*impl_, std::move(seed));
}

}  // namespace holt
