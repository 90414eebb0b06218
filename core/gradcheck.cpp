// Analytic gradients against central differences.
//
// A function of any output shape becomes a scalar by a fixed projection: L(x) = Σ v·f(x) with v of mixed signs and
// sizes in [0.5, 1.5], so that errors in different outputs do not cancel. Then
//
//   dL/dx[i] ≈ (L(x + h·e_i) − L(x − h·e_i)) / 2h       error O(h²) + eps·|L|/h ≈ 1e-12 + 1e-10·|L| for h = 1e-6
#include <algorithm>
#include <cmath>
#include <utility>

#include "core/node.h"
#include "kernels/philox.h"

namespace holt {
namespace {

using Function = std::function<Tensor(const std::vector<Tensor>&)>;
using Doubles = std::vector<double>;

struct StrictNeeds {
  bool previous = std::exchange(strict_needs(), true);
  ~StrictNeeds() { strict_needs() = previous; }
};

double weight(size_t i) {
  const Philox4 r = philox(17, 0, i);
  return (r.v[1] & 1 ? 1 : -1) * (0.5 + static_cast<double>(uniform01(r.v[0])));
}

class Check {
 public:
  Check(const Function& f, const std::vector<Tensor>& inputs) : f_(f) {
    for (size_t k = 0; k < inputs.size(); ++k) {
      check(inputs[k] && inputs[k].dtype() == DType::f64 && inputs[k].device() == Device{},
            "gradcheck: input {} must be f64 on cpu, got {}", k, inputs[k]);
      shapes_.push_back(inputs[k].shape());
      values_.push_back(inputs[k].to_vector<double>());
    }
  }

  size_t inputs() const { return values_.size(); }
  const Shape& shape(size_t k) const { return shapes_[k]; }
  const Doubles& values(size_t k) const { return values_[k]; }

  /// f on fresh leaves, those of `trained` (all, or one) requiring gradients.
  Doubles output() const { return call(leaves()).to_vector<double>(); }

  /// Σ v·f(x) with x[k][i] replaced.
  double loss(size_t k, size_t i, double x) {
    const NoGrad no_grad;
    const double before = std::exchange(values_[k][i], x);
    const Doubles y = output();
    values_[k][i] = before;
    double sum = 0;
    for (size_t j = 0; j < y.size(); ++j) sum += weight(j) * y[j];
    return sum;
  }

  /// dL/dx of every input by backward(), with all inputs trained, or only input `only`.
  std::vector<Doubles> gradients(int64_t only = -1) const {
    const std::vector<Tensor> x = leaves();
    for (size_t k = 0; k < x.size(); ++k) x[k].requires_grad_(only < 0 || only == static_cast<int64_t>(k));
    const Tensor y = call(x);
    std::vector<Doubles> result;
    if (y.requires_grad()) {  // else f does not depend on these inputs, and the numeric gradient must be zero
      Doubles v(static_cast<size_t>(y.numel()));
      for (size_t j = 0; j < v.size(); ++j) v[j] = weight(j);
      y.backward(from(v, y.shape()));
    }
    for (const Tensor& t : x)
      result.push_back(t.grad() ? t.grad().to_vector<double>() : Doubles(static_cast<size_t>(t.numel())));
    return result;
  }

 private:
  std::vector<Tensor> leaves() const {
    std::vector<Tensor> x;
    for (size_t k = 0; k < values_.size(); ++k) x.push_back(from(values_[k], shapes_[k]));
    return x;
  }

  Tensor call(const std::vector<Tensor>& x) const {
    Tensor y = f_(x);
    check(y && y.dtype() == DType::f64 && y.device() == Device{},
          "gradcheck: the function must give f64 on cpu, got {}", y);
    return y;
  }

  const Function& f_;
  std::vector<Shape> shapes_;
  std::vector<Doubles> values_;
};

// Bit for bit, and so that NaN equals NaN: the same function twice.
bool same(const Doubles& a, const Doubles& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](double x, double y) { return x == y || (std::isnan(x) && std::isnan(y)); });
}

}  // namespace

double gradcheck(const Function& f, const std::vector<Tensor>& inputs, double step, double tolerance) {
  check(step > 0 && tolerance > 0, "gradcheck: step and tolerance must be positive, got {} and {}", step, tolerance);
  const StrictNeeds strict;
  Check c(f, inputs);
  check(same(c.output(), c.output()), "gradcheck: the function gives different results for equal inputs");

  const std::vector<Doubles> analytic = c.gradients();
  double worst = 0;
  for (size_t k = 0; k < c.inputs(); ++k) {
    for (size_t i = 0; i < c.values(k).size(); ++i) {
      const double x = c.values(k)[i];
      // What was really stepped: x ± step is rounded.
      const double high = x + step, low = x - step;
      const double numeric = (c.loss(k, i, high) - c.loss(k, i, low)) / (high - low);
      const double difference = std::abs(analytic[k][i] - numeric);
      const double allowed = tolerance * std::max(1.0, std::abs(numeric));
      check(difference <= allowed, "gradcheck: input {} {}, element {}: analytic {}, numeric {}, {} apart, allowed {}",
            k, c.shape(k), i, analytic[k][i], numeric, difference, allowed);
      worst = std::max(worst, difference);
    }
  }

  for (size_t k = 0; k < c.inputs() && c.inputs() > 1; ++k) {
    const Doubles alone = c.gradients(static_cast<int64_t>(k))[k];
    for (size_t i = 0; i < alone.size(); ++i) {
      const double want = analytic[k][i];
      check(std::abs(alone[i] - want) <= tolerance * std::max(1.0, std::abs(want)),
            "gradcheck: input {} {}, element {}: gradient {} when it alone is trained, {} when all are", k, c.shape(k),
            i, alone[i], want);
    }
  }
  return worst;
}

}  // namespace holt
