#include "kernels/attention.h"

#include "core/autocast.h"
#include "core/autograd.h"
#include "core/ops.h"

namespace holt {
namespace {

void check_scale_and_head(const Tensor& q, double scale) {
  const int64_t D = q.size(-1);
  check(D >= 8 && D <= kMaxHeadSize && D % 8 == 0,
        "attention: the head size, the last axis of {}, must be a multiple of 8 from 8 to {}, got {}", q, kMaxHeadSize,
        D);
  check(scale >= 0, "attention: scale must be positive, or 0 for 1/√D, got {}", scale);
}

double scale_or_default(double scale, int64_t head_size) {
  return scale > 0 ? scale : 1 / std::sqrt(static_cast<double>(head_size));
}

// lse of the forward, for which there is one row for every query of every head.
Tensor empty_lse(const Attention& p, const Tensor& q) {
  return empty({p.batch, p.heads, p.queries}, q.dtype() == DType::f64 ? DType::f64 : DType::f32, q.device());
}

}  // namespace

Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v, double scale) {
  if (autocast_changes({&q, &k, &v})) return attention(autocast(q), autocast(k), autocast(v), scale);
  check(q.rank() == 4, "attention: q must be [B, Tq, H, D], got {}", q);
  check_scale_and_head(q, scale);
  const int64_t B = q.size(0), H = q.size(2), D = q.size(3);
  for (const Tensor* x : {&k, &v}) {
    const char* name = x == &k ? "k" : "v";
    check(x->rank() == 4 && x->size(0) == B && x->size(2) == H && x->size(3) == D,
          "attention: {} must be [{}, Tk, {}, {}] to match q {}, got {}", name, B, H, D, q, *x);
    check(x->dtype() == q.dtype() && x->device() == q.device(),
          "attention: {} must have the dtype and device of q {}, got {}", name, q, *x);
  }
  check(k.size(1) == v.size(1) && k.size(1) >= 1,
        "attention: k and v must have the same number of rows, at least 1; got {} and {}", k, v);
  const Attention p{B, H, q.size(1), k.size(1), D, scale_or_default(scale, D), H * D, H * D};

  Tensor o = empty_like(q), lse = empty_lse(p, q);
  on(q.device(), q.dtype(), "attention", Floats{}, [&]<class T>(auto dev, T) {
    attention_forward(dev, p, q.data<T>(), k.data<T>(), v.data<T>(), o.data<T>(), lse.data<acc_t<T>>());
  });
  return record(
      "attention", {q, k, v}, o,
      [=, q = Saved(q), k = Saved(k), v = Saved(v), o = Saved(o)](const Tensor& dy, const Needs& needs) -> Grads {
        Tensor dq = needs[0] ? empty_like(q()) : Tensor{}, dk = needs[1] ? empty_like(k()) : Tensor{},
               dv = needs[2] ? empty_like(v()) : Tensor{};
        on(dy.device(), dy.dtype(), "attention", Floats{}, [&]<class T>(auto dev, T) {
          attention_backward(dev, p, dy.data<T>(), q().data<T>(), k().data<T>(), v().data<T>(), o().data<T>(),
                             lse.data<acc_t<T>>(), data_or_null<T>(dq), data_or_null<T>(dk), data_or_null<T>(dv));
        });
        return {dq, dk, dv};
      });
}

Tensor attention(const Tensor& qkv, double scale) {
  if (autocast_changes({&qkv})) return attention(autocast(qkv), scale);
  check(qkv.rank() == 5 && qkv.size(2) == 3, "attention: qkv must be [B, T, 3, H, D], got {}", qkv);
  check_scale_and_head(qkv, scale);
  const int64_t B = qkv.size(0), rows = qkv.size(1), H = qkv.size(3), D = qkv.size(4), row = H * D;
  check(rows >= 1, "attention: qkv must have at least one row, got {}", qkv);
  const Attention p{B, H, rows, rows, D, scale_or_default(scale, D), 3 * row, 3 * row};

  Tensor o = empty({B, rows, H, D}, qkv.dtype(), qkv.device()), lse = empty_lse(p, qkv);
  on(qkv.device(), qkv.dtype(), "attention", Floats{}, [&]<class T>(auto dev, T) {
    const T* q = qkv.data<T>();
    attention_forward(dev, p, q, q + row, q + 2 * row, o.data<T>(), lse.data<acc_t<T>>());
  });
  return record("attention", {qkv}, o, [=, qkv = Saved(qkv), o = Saved(o)](const Tensor& dy, const Needs&) -> Grads {
    Tensor dqkv = empty_like(qkv());
    on(dy.device(), dy.dtype(), "attention", Floats{}, [&]<class T>(auto dev, T) {
      const T* q = qkv().data<T>();
      T* dq = dqkv.data<T>();
      attention_backward(dev, p, dy.data<T>(), q, q + row, q + 2 * row, o().data<T>(), lse.data<acc_t<T>>(), dq,
                         dq + row, dq + 2 * row);
    });
    return {dqkv};
  });
}

}  // namespace holt
