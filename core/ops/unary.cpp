// Functions of one element: exp, log, sqrt, square, abs, relu, gelu, sigmoid, tanh, silu, quick_gelu, and sums and
// products with a number.
#include "kernels/unary.h"

#include "core/autograd.h"
#include "core/ops.h"
#include "kernels/trace.h"

namespace holt {
namespace {

// make(A{}) is the kernel's struct for sums in A.
template <class Make>
Tensor unary_of(const char* op, const Tensor& x, Make make) {
  const TraceRange trace(op);
  Tensor y = empty_like(x);
  on(x.device(), x.dtype(), op, Floats{},
     [&]<class T>(auto dev, T) { unary_forward(dev, make(acc_t<T>{}), x.numel(), x.data<T>(), y.data<T>()); });
  constexpr bool keeps_output = decltype(make(float{}))::keeps_output;
  return record(op, {x}, y, [=, kept = Saved(keeps_output ? y : x)](const Tensor& dy, const Needs&) -> Grads {
    Tensor dx = empty_like(dy);
    on(dy.device(), dy.dtype(), op, Floats{}, [&]<class T>(auto dev, T) {
      unary_backward(dev, make(acc_t<T>{}), dy.numel(), dy.data<T>(), kept().template data<T>(), dx.data<T>());
    });
    return {dx};
  });
}

template <class F>
Tensor unary(const char* op, const Tensor& x, F f) {
  return unary_of(op, x, [f](auto) { return f; });
}

}  // namespace

Tensor exp(const Tensor& x) { return unary("exp", x, Exp{}); }
Tensor log(const Tensor& x) { return unary("log", x, Log{}); }
Tensor sqrt(const Tensor& x) { return unary("sqrt", x, Sqrt{}); }
Tensor square(const Tensor& x) { return unary("square", x, Square{}); }
Tensor abs(const Tensor& x) { return unary("abs", x, Abs{}); }
Tensor relu(const Tensor& x) { return unary("relu", x, Relu{}); }
Tensor gelu(const Tensor& x, Gelu kind) {
  return kind == Gelu::exact ? unary("gelu", x, GeluExact{}) : unary("gelu", x, GeluTanh{});
}
Tensor sigmoid(const Tensor& x) { return unary("sigmoid", x, Sigmoid{}); }
Tensor tanh(const Tensor& x) { return unary("tanh", x, Tanh{}); }
Tensor silu(const Tensor& x) {
  return unary_of("silu", x, []<class A>(A) { return Swish<A>{A(kSiluBeta)}; });
}
Tensor quick_gelu(const Tensor& x) {
  return unary_of("quick_gelu", x, []<class A>(A) { return Swish<A>{A(kQuickGeluBeta)}; });
}

Tensor add(const Tensor& x, double c) {
  Tensor y = empty_like(x);
  on(x.device(), x.dtype(), "add", Floats{}, [&]<class T>(auto dev, T) {
    unary_forward(dev, AddScalar<acc_t<T>>{static_cast<acc_t<T>>(c)}, x.numel(), x.data<T>(), y.data<T>());
  });
  return record("add", {x}, y, [](const Tensor& dy, const Needs&) -> Grads { return {dy}; });
}

Tensor mul(const Tensor& x, double c) {
  Tensor y = empty_like(x);
  on(x.device(), x.dtype(), "mul", Floats{}, [&]<class T>(auto dev, T) {
    unary_forward(dev, MulScalar<acc_t<T>>{static_cast<acc_t<T>>(c)}, x.numel(), x.data<T>(), y.data<T>());
  });
  return record("mul", {x}, y, [c](const Tensor& dy, const Needs&) -> Grads { return {mul(dy, c)}; });
}

}  // namespace holt
