// The same elements under another shape: a view, nothing is copied. Its gradient is a view too.
#include "core/autograd.h"

namespace holt {
namespace {

Shape with_open_size(const Shape& from, Shape to) {
  int open = -1;
  int64_t rest = 1;
  for (int i = 0; i < to.rank(); ++i) {
    if (to[i] >= 0) continue;
    check(open < 0, "reshape: {} to {}: only one size may be -1", from, to);
    open = i;
  }
  if (open >= 0) {
    const Shape asked = to;
    to.set(open, 1);
    rest = to.numel();
    check(rest > 0 && from.numel() % rest == 0, "reshape: {} to {}: no size fits the -1", from, asked);
    to.set(open, from.numel() / rest);
  }
  check(from.numel() == to.numel(), "reshape: {} has {} elements, {} has {}", from, from.numel(), to, to.numel());
  return to;
}

}  // namespace

Tensor Tensor::reshape(Shape to) const {
  const Shape from = shape();
  to = with_open_size(from, to);
  return record("reshape", {*this}, Tensor(storage(), offset(), to, dtype()),
                [from](const Tensor& dy, const Needs&) -> Grads { return {dy.reshape(from)}; });
}

}  // namespace holt
