#include "transfer/gate.h"

#include <cmath>

#include "core/autograd.h"
#include "core/ops.h"
#include "kernels/memory.h"

namespace holt::transfer {
namespace {

using Matrix = std::vector<double>;  // [d, d], row-major

// L with L·Lᵀ = a (lower triangle, in place). a is positive definite by construction (the shrinkage).
void cholesky(Matrix& a, int64_t d) {
  for (int64_t j = 0; j < d; ++j) {
    for (int64_t i = j; i < d; ++i) {
      double s = a[i * d + j];
      for (int64_t k = 0; k < j; ++k) s -= a[i * d + k] * a[j * d + k];
      if (i == j) check(s > 0, "gate: the features' covariance is not finite or not positive (pivot {} of {})", j, d);
      a[i * d + j] = i == j ? std::sqrt(s) : s / a[j * d + j];
    }
    for (int64_t i = 0; i < j; ++i) a[i * d + j] = 0;
  }
}

// L⁻¹ of a lower triangle, by forward substitution of the unit vectors; rows stay contiguous.
Matrix inverse_lower(const Matrix& l, int64_t d) {
  Matrix inverse(l.size());
  for (int64_t i = 0; i < d; ++i) {
    double* row = &inverse[i * d];
    row[i] = 1;
    for (int64_t k = 0; k < i; ++k) {
      const double f = l[i * d + k];
      for (int64_t j = 0; j <= k; ++j) row[j] -= f * inverse[k * d + j];
    }
    for (int64_t j = 0; j <= i; ++j) row[j] /= l[i * d + i];
  }
  return inverse;
}

}  // namespace

Gate Gate::fit(const Features& features, int64_t classes, double beta, double shrink) {
  const int64_t n = features.size(), d = features.width;
  check(n >= 1, "gate: no training images");
  const std::vector<float>& f = features.values;
  const std::vector<int64_t>& labels = features.labels;

  std::vector<int64_t> row_of(classes, -1), class_of, count;
  for (const int64_t c : labels) {
    check(c >= 0 && c < classes, "gate: label {} is outside 0 … {}", c, classes - 1);
    if (row_of[c] < 0) {
      row_of[c] = static_cast<int64_t>(class_of.size());
      class_of.push_back(c);
      count.push_back(0);
    }
    ++count[row_of[c]];
  }
  const auto k = static_cast<int64_t>(class_of.size());
  std::vector<double> mu(k * d);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < d; ++j)
      mu[row_of[labels[i]] * d + j] += f[i * d + j] / static_cast<double>(count[row_of[labels[i]]]);

  Matrix sigma(d * d);
  std::vector<double> x(d);
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < d; ++j) x[j] = f[i * d + j] - mu[row_of[labels[i]] * d + j];
    for (int64_t a = 0; a < d; ++a)
      for (int64_t b = 0; b <= a; ++b) sigma[a * d + b] += x[a] * x[b] / static_cast<double>(n);
  }
  double trace = 0;
  for (int64_t a = 0; a < d; ++a) trace += sigma[a * d + a];
  const double ridge = trace > 0 ? shrink * trace / static_cast<double>(d) : 1;
  for (int64_t a = 0; a < d; ++a) sigma[a * d + a] += ridge;
  cholesky(sigma, d);
  const Matrix inverse = inverse_lower(sigma, d);

  std::vector<double> means(k * d), scatter(k * classes);
  for (int64_t c = 0; c < k; ++c) {
    for (int64_t a = 0; a < d; ++a)
      for (int64_t b = 0; b <= a; ++b) means[c * d + a] += inverse[a * d + b] * mu[c * d + b];
    scatter[c * classes + class_of[c]] = -beta / static_cast<double>(d);
  }
  Gate gate;
  gate.whitening_ = from(inverse, {d, d}, DType::f32);
  gate.means_ = from(means, {k, d}, DType::f32);
  gate.scatter_ = from(scatter, {k, classes}, DType::f32);
  return gate;
}

Tensor Gate::apply(const Tensor& features, const Tensor& logits) const {
  const NoGrad no_grad;
  // One class at a time, ‖L⁻¹f − L⁻¹μ_c‖²: the expanded square loses digits where means are long.
  const Tensor white = matmul(features, whitening_, false, true);
  const int64_t n = features.size(0), d = features.size(1), k = means_.size(0);
  Tensor distances = empty({k, n}, DType::f32, features.device());
  for (int64_t c = 0; c < k; ++c) {
    const Tensor row = sum(square(white - means_.narrow(c, 1).reshape({d})), {1});
    copy_bytes(distances.device(), distances.narrow(c, 1).raw(), row.device(), row.raw(), row.bytes());
  }
  return logits + matmul(distances, scatter_, true, false);
}

Gate Gate::to(Device device) const {
  Gate g;
  g.whitening_ = whitening_.to(device);
  g.means_ = means_.to(device);
  g.scatter_ = scatter_.to(device);
  return g;
}

nn::State Gate::state() const { return {{"whitening", whitening_}, {"means", means_}, {"scatter", scatter_}}; }

Gate Gate::from_state(const nn::State& state, int64_t width, int64_t classes) {
  Gate g;
  for (const auto& [name, tensor] : std::initializer_list<std::pair<const char*, Tensor*>>{
           {"whitening", &g.whitening_}, {"means", &g.means_}, {"scatter", &g.scatter_}}) {
    const auto it = state.find(name);
    check(it != state.end() && it->second.rank() == 2 && it->second.dtype() == DType::f32,
          "gate: '{}' must be an f32 matrix", name);
    *tensor = it->second;
  }
  check(state.size() == 3, "gate: expected whitening, means and scatter alone, got {} tensors", state.size());
  const int64_t k = g.means_.size(0);
  check(k >= 1 && k <= classes && g.whitening_.shape() == Shape{width, width} && g.means_.shape() == Shape{k, width} &&
            g.scatter_.shape() == Shape{k, classes},
        "gate: {} whitening, {} means and {} scatter do not fit {} features and {} classes", g.whitening_.shape(),
        g.means_.shape(), g.scatter_.shape(), width, classes);
  return g;
}

}  // namespace holt::transfer
