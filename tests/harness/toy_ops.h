// Ops and tensors for tests of the engine: written on the host, element by element, one idea each.
#pragma once
#include <functional>
#include <vector>

#include "core/autograd.h"

namespace holt::test {

inline Tensor make(std::vector<double> v, Shape s) { return from(v, s); }
inline Tensor leaf(std::vector<double> v, Shape s) { return from(v, s).requires_grad_(); }
inline Tensor map(const Tensor& a, const Tensor& b, double (*f)(double, double)) {
  std::vector<double> x = a.to_vector<double>();
  const std::vector<double> y = b.to_vector<double>();
  for (size_t i = 0; i < x.size(); ++i) x[i] = f(x[i], y[i]);
  return from(x, a.shape(), a.dtype());
}
inline double times(double x, double y) { return x * y; }

// y = a·b, element by element.
inline Tensor toy_mul(const Tensor& a, const Tensor& b) {
  return record("toy_mul", {a, b}, map(a, b, times),
                [a = Saved(a), b = Saved(b)](const Tensor& dy, const Needs& needs) -> Grads {
                  return {needs[0] ? map(dy, b(), times) : Tensor{}, needs[1] ? map(dy, a(), times) : Tensor{}};
                });
}

// y = a + b: dy itself is both gradients.
inline Tensor toy_add(const Tensor& a, const Tensor& b) {
  return record("toy_add", {a, b}, map(a, b, [](double x, double y) { return x + y; }),
                [](const Tensor& dy, const Needs& needs) -> Grads {
                  return {needs[0] ? dy : Tensor{}, needs[1] ? dy : Tensor{}};
                });
}

// y = x, and counts how often its backward ran.
inline Tensor toy_probe(const Tensor& x, int* visits) {
  return record("toy_probe", {x}, from(x.to_vector<double>(), x.shape(), x.dtype()),
                [visits](const Tensor& dy, const Needs&) -> Grads {
                  ++*visits;
                  return {dy};
                });
}

// A backward that returns whatever `grads` makes.
inline Tensor toy_broken(const Tensor& x, std::function<Grads(const Tensor&)> grads) {
  return record("toy_broken", {x}, from(x.to_vector<double>(), x.shape(), x.dtype()),
                [grads](const Tensor& dy, const Needs&) -> Grads { return grads(dy); });
}

inline std::vector<double> grad_of(const Tensor& t) { return t.grad().to_vector<double>(); }
using V = std::vector<double>;

}  // namespace holt::test
