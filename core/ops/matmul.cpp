#include "kernels/matmul.h"

#include "core/autocast.h"
#include "core/autograd.h"
#include "core/ops.h"
#include "kernels/bias_activation.h"
#include "kernels/trace.h"

namespace holt {
namespace {

void run_matmul(const Matmul& p, const Tensor& a, const Tensor& b, const Tensor& c) {
  on(a.device(), a.dtype(), "matmul", Floats{}, [&]<class T>(auto dev, T) {
    matmul(dev, p, a.data<T>(), b.data<T>(), static_cast<const T*>(nullptr), c.data<T>(), static_cast<T*>(nullptr));
  });
}

// The gradient of one operand: op(l)·op(r), stored as that operand is. If the operand served the whole batch, its
// gradient is the sum over the batch.
Tensor operand_gradient(const Shape& operand, const Tensor& l, const Tensor& r, Matmul p, bool shared) {
  if (shared && !p.transpose_b && p.transpose_a && !p.shared_a && !p.shared_b) {
    // lᵀ·r summed over the batch: with the batch's rows one below the other it is a single product.
    p.k *= p.batch;
    p.batch = 1;
    shared = false;
  }
  if (!shared || p.batch == 1) {
    Tensor g = empty(operand, l.dtype(), l.device());
    run_matmul(p, l, r, g);
    return g;
  }
  const Tensor each = empty({p.batch, p.m, p.n}, l.dtype(), l.device());
  Tensor g = empty(operand, l.dtype(), l.device());
  run_matmul(p, l, r, each);
  on(g.device(), g.dtype(), "matmul", Floats{}, [&]<class T>(auto dev, T) {
    bias_activation_backward(dev, {p.batch, p.m * p.n}, each.data<T>(), static_cast<const T*>(nullptr),
                             static_cast<T*>(nullptr), g.data<T>());
  });
  return g;
}

}  // namespace

Tensor matmul(const Tensor& a, const Tensor& b, bool transpose_a, bool transpose_b) {
  if (autocast_changes({&a, &b})) {
    const auto operand = [](const Tensor& t) {
      return t.is_leaf() && t.requires_grad() ? autocast_weight(t) : autocast(t);
    };
    return matmul(operand(a), operand(b), transpose_a, transpose_b);
  }
  const TraceRange trace("matmul");
  check(a.rank() >= 2 && b.rank() >= 2, "matmul: both operands need at least two axes, got {} and {}", a, b);
  check(a.dtype() == b.dtype() && a.device() == b.device(),
        "matmul: both operands must have one dtype and device, got {} and {}", a, b);
  const int64_t m = a.size(transpose_a ? -1 : -2), k = a.size(transpose_a ? -2 : -1), n = b.size(transpose_b ? -2 : -1);
  check(b.size(transpose_b ? -1 : -2) == k, "matmul: inner sizes differ: {}{} times {}{}", a,
        transpose_a ? " transposed" : "", b, transpose_b ? " transposed" : "");
  const bool shared_a = a.rank() == 2 && b.rank() > 2, shared_b = b.rank() == 2 && a.rank() > 2;
  const Shape& batch = shared_a ? b.shape() : a.shape();
  check(shared_a || shared_b ||
            (a.rank() == b.rank() && std::equal(a.shape().begin(), a.shape().end() - 2, b.shape().begin())),
        "matmul: batch axes must be equal or absent from one operand, got {} and {}", a, b);

  Shape shape = batch;
  shape.set(-2, m);
  shape.set(-1, n);
  const Matmul p{batch.product(0, batch.rank() - 2), m, n, k, transpose_a, transpose_b, shared_a, shared_b};
  Tensor c = empty(shape, a.dtype(), a.device());
  run_matmul(p, a, b, c);

  return record(
      "matmul", {a, b}, c,
      [=, sa = a.shape(), sb = b.shape(), a = saved_for(b, a), b = saved_for(a, b)](const Tensor& dc,
                                                                                    const Needs& needs) -> Grads {
        // C = op(A)·op(B):  d op(A) = dC·op(B)ᵀ,  d op(B) = op(A)ᵀ·dC; each is written in its operand's own order.
        Tensor da, db;
        if (needs[0])
          da = transpose_a
                   ? operand_gradient(sa, b(), dc, {p.batch, k, m, n, transpose_b, true, shared_b, false}, shared_a)
                   : operand_gradient(sa, dc, b(), {p.batch, m, k, n, false, !transpose_b, false, shared_b}, shared_a);
        if (needs[1])
          db = transpose_b
                   ? operand_gradient(sb, dc, a(), {p.batch, n, k, m, true, transpose_a, false, shared_a}, shared_b)
                   : operand_gradient(sb, a(), dc, {p.batch, k, n, m, !transpose_a, false, shared_a, false}, shared_b);
        return {da, db};
      });
}

}  // namespace holt
