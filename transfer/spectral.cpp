#include "transfer/spectral.h"

#include <algorithm>
#include <cmath>

#include "core/autograd.h"
#include "core/ops.h"

namespace holt::transfer {

std::vector<double> eigenvalues(std::vector<double> a, int64_t n, std::vector<double>& v) {
  v.assign(n * n, 0);
  for (int64_t i = 0; i < n; ++i) v[i * n + i] = 1;
  double scale = 0;
  for (const double x : a) scale += x * x;
  constexpr int kSweeps = 60;  // converges quadratically: ten do for hundreds of rows
  for (int sweep = 0; sweep < kSweeps; ++sweep) {
    double off = 0;
    for (int64_t p = 0; p < n; ++p)
      for (int64_t q = p + 1; q < n; ++q) off += a[p * n + q] * a[p * n + q];
    if (!(off > 1e-28 * scale)) break;
    for (int64_t p = 0; p < n; ++p)
      for (int64_t q = p + 1; q < n; ++q) {
        if (a[p * n + q] == 0) continue;
        // The rotation that zeroes a[p,q] (Golub & Van Loan, §8.5).
        const double theta = (a[q * n + q] - a[p * n + p]) / (2 * a[p * n + q]);
        const double t = std::copysign(1, theta) / (std::abs(theta) + std::sqrt(theta * theta + 1));
        const double c = 1 / std::sqrt(t * t + 1), s = t * c;
        for (int64_t k = 0; k < n; ++k) {
          const double x = a[k * n + p], y = a[k * n + q];
          a[k * n + p] = c * x - s * y;
          a[k * n + q] = s * x + c * y;
        }
        for (int64_t k = 0; k < n; ++k) {
          const double x = a[p * n + k], y = a[q * n + k];
          a[p * n + k] = c * x - s * y;
          a[q * n + k] = s * x + c * y;
        }
        for (int64_t k = 0; k < n; ++k) {
          const double x = v[k * n + p], y = v[k * n + q];
          v[k * n + p] = c * x - s * y;
          v[k * n + q] = s * x + c * y;
        }
      }
  }
  std::vector<double> values(n);
  for (int64_t i = 0; i < n; ++i) values[i] = a[i * n + i];
  return values;
}

Tensor spectral_sum(const Tensor& k, std::function<std::pair<double, double>(double)> f) {
  check(k.rank() == 2 && k.size(0) == k.size(1) && k.dtype() == DType::f32,
        "spectral_sum: k must be a square f32 matrix, got {}", k);
  const int64_t n = k.size(0);
  const std::vector<float> host = k.to_vector<float>();
  std::vector<double> vectors;
  const std::vector<double> values = eigenvalues({host.begin(), host.end()}, n, vectors);
  double total = 0;
  std::vector<double> slope(n), gradient(n * n);
  for (int64_t i = 0; i < n; ++i) {
    const auto [value, derivative] = f(std::max(values[i], 0.0));  // rounding makes zeros slightly negative
    total += value;
    slope[i] = derivative;
  }
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < n; ++j)
      for (int64_t e = 0; e < n; ++e) gradient[i * n + j] += vectors[i * n + e] * slope[e] * vectors[j * n + e];
  const Tensor y = full({}, total, DType::f32, k.device());
  const Tensor dk = from(gradient, {n, n}, DType::f32, k.device());
  return record("spectral_sum", {k}, y, [dk](const Tensor& dy, const Needs&) -> Grads {
    const NoGrad no_grad;
    return {dk * dy.item()};
  });
}

}  // namespace holt::transfer
