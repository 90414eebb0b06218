#include "core/autograd.h"

#include "core/finite.h"
#include "core/node.h"

namespace holt {
namespace {

thread_local bool tls_grad_enabled = true;
thread_local OpHook* tls_hook = nullptr;
thread_local BackwardHook* tls_backward_hook = nullptr;
thread_local const char* tls_backward = nullptr;
thread_local bool tls_strict = false;
thread_local std::shared_ptr<Node>* tls_dying = nullptr;  // list of the drop() that runs further up the stack

std::atomic<uint64_t> node_count{0};

// A leaf is followed only if it is trained: a frozen branch has no edge, so nothing keeps it and nothing visits it.
Edge edge_to(const Tensor& x) {
  if (!x || !x.requires_grad()) return {};
  const bool leaf = x.is_leaf();
  return {leaf ? nullptr : x.impl()->node, leaf ? x.impl() : nullptr, x.shape(), x.dtype(), x.device()};
}

void check_output(const char* op, const std::vector<Tensor>& inputs, const Tensor& y) {
  const int64_t i = first_nonfinite(y);
  if (i < 0) return;
  std::string bad;  // every op is checked, so only a leaf can have brought a NaN in unseen
  for (size_t k = 0; k < inputs.size(); ++k)
    if (inputs[k] && first_nonfinite(inputs[k]) >= 0) bad += format("{}input {}", bad.empty() ? "" : ", ", k);
  fail("{}: the output {} has {} at element {}; {}", op, y, y.to_vector<double>()[static_cast<size_t>(i)], i,
       bad.empty() ? "all its inputs are finite" : bad + " already had a NaN or an infinity");
}

}  // namespace

Node::Node(const char* o, std::vector<Edge> e, Backward b)
    : op(o), order(node_count.fetch_add(1, std::memory_order_relaxed)), edges(std::move(e)), backward(std::move(b)) {}

Node::~Node() {
  for (Edge& e : edges)
    if (e.node) drop(std::move(e.node));
}

void drop(std::shared_ptr<Node> node) noexcept {
  if (node.use_count() != 1) return;  // somebody else holds it, or takes it along
  if (tls_dying != nullptr) {         // a node is dying further up the stack: queue behind it
    node->next_dying = std::move(*tls_dying);
    *tls_dying = std::move(node);
    return;
  }
  std::shared_ptr<Node> list = std::move(node);
  tls_dying = &list;
  while (list) {
    const std::shared_ptr<Node> first = std::move(list);
    list = std::move(first->next_dying);
    // `first` dies here; what it alone held is put in front of the list.
  }
  tls_dying = nullptr;
}

const char*& current_backward() { return tls_backward; }
bool& strict_needs() { return tls_strict; }

const Tensor& Saved::operator()() const {
  check(!tensor_ || tensor_.storage()->version == version_,
        "{}: the backward needs {}, which was changed in place after the forward (version {}, saved {})",
        tls_backward ? tls_backward : "saved", tensor_, tensor_ ? tensor_.storage()->version : 0, version_);
  return tensor_;
}

bool grad_enabled() { return tls_grad_enabled; }
NoGrad::NoGrad() : previous_(tls_grad_enabled) { tls_grad_enabled = false; }
NoGrad::~NoGrad() { tls_grad_enabled = previous_; }

OpHook::OpHook(Hook hook) : hook_(std::move(hook)), previous_(tls_hook) { tls_hook = this; }
OpHook::~OpHook() { tls_hook = previous_; }

BackwardHook::BackwardHook(Hook hook) : hook_(std::move(hook)), previous_(tls_backward_hook) {
  tls_backward_hook = this;
}
BackwardHook::~BackwardHook() { tls_backward_hook = previous_; }
void BackwardHook::tell(const char* op, const Tensor& dy, const Grads& grads) {
  for (BackwardHook* h = tls_backward_hook; h != nullptr; h = h->previous_) h->hook_(op, dy, grads);
}

const char* op_name(const Tensor& t) { return t && t.impl()->node ? t.impl()->node->op : ""; }

Tensor record(const char* op, std::initializer_list<Tensor> inputs, Tensor y, Backward backward) {
  return record(op, std::vector<Tensor>(inputs), std::move(y), std::move(backward));
}

Tensor record(const char* op, const std::vector<Tensor>& inputs, Tensor y, Backward backward) {
  check(y && y.is_leaf() && !y.requires_grad(), "{}: internal error: the output must be a fresh tensor", op);
  if (check_finite()) check_output(op, inputs, y);
  for (OpHook* h = tls_hook; h != nullptr; h = h->previous_) h->hook_(op, inputs, y);

  bool wanted = false;
  for (const Tensor& x : inputs) wanted |= x && x.requires_grad();
  if (!wanted) return y;
  check(is_float(y.dtype()), "{}: internal error: a result of dtype {} cannot have a gradient", op, y.dtype());
  if (!tls_grad_enabled) {
    y.impl()->untracked = op;
    return y;
  }
  std::vector<Edge> edges;
  edges.reserve(inputs.size());
  for (const Tensor& x : inputs) edges.push_back(edge_to(x));
  y.impl()->node = std::make_shared<Node>(op, std::move(edges), std::move(backward));
  return y;
}

}  // namespace holt
