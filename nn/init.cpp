#include "nn/init.h"

#include <cmath>

namespace holt::nn::init {
namespace {

// Φ⁻¹(p) by Newton's method on Φ(x) = erfc(−x/√2)/2, from the logistic approximation: converges to double precision
// for every p that a float draw can give.
double normal_quantile(double p) {
  double x = std::log(p / (1 - p)) / 1.702;
  for (int i = 0; i < 60; ++i) {
    const double error = 0.5 * std::erfc(-x / std::sqrt(2.0)) - p;
    const double density = std::exp(-0.5 * x * x) / std::sqrt(2 * M_PI);
    const double step = error / density;
    // Far out in a tail Newton overshoots; Halley's correction (the density's slope is −x) bounds the step.
    const double change = step / std::max(0.5, 1 + 0.5 * x * step);
    x -= change;
    if (std::abs(change) <= 1e-14 * std::max(1.0, std::abs(x))) break;
  }
  return x;
}

double bound(const Shape& s, double variance, const char* op) {
  check(s.rank() >= 2 && s.numel() > 0, "{}: a weight of [out, …, in] with at least one element is needed, got {}", op,
        s);
  return std::sqrt(3 * variance);
}

}  // namespace

int64_t fan_in(const Shape& w) {
  check(w.rank() >= 2 && w.numel() > 0, "fan_in: a weight of [out, …, in] is needed, got {}", w);
  return w.numel() / w[0];
}
int64_t fan_out(const Shape& w) {
  check(w.rank() >= 2 && w.numel() > 0, "fan_out: a weight of [out, …, in] is needed, got {}", w);
  return w.numel() / w[-1];
}

Tensor kaiming_normal(const Shape& s, Generator& g, Fan fan, double gain) {
  return normal(s, 0, gain / std::sqrt(static_cast<double>(fan == Fan::in ? fan_in(s) : fan_out(s))), g);
}

Tensor kaiming_uniform(const Shape& s, Generator& g, Fan fan, double gain) {
  const double b = bound(s, gain * gain / static_cast<double>(fan == Fan::in ? fan_in(s) : fan_out(s)), "kaiming");
  return uniform(s, -b, b, g);
}

Tensor xavier_normal(const Shape& s, Generator& g, double gain) {
  return normal(s, 0, gain * std::sqrt(2.0 / static_cast<double>(fan_in(s) + fan_out(s))), g);
}

Tensor xavier_uniform(const Shape& s, Generator& g, double gain) {
  const double b = bound(s, gain * gain * 2 / static_cast<double>(fan_in(s) + fan_out(s)), "xavier");
  return uniform(s, -b, b, g);
}

Tensor truncated_normal(const Shape& s, Generator& g, double mean, double std, double low, double high) {
  check(std > 0 && low < high, "truncated_normal: std > 0 and low < high are needed, got std {}, low {}, high {}", std,
        low, high);
  const auto cdf = [&](double x) { return 0.5 * std::erfc(-(x - mean) / std / std::sqrt(2.0)); };
  const double from_p = cdf(low), to_p = cdf(high);
  check(to_p - from_p > 1e-6, "truncated_normal: [{}, {}] holds nothing of a normal with mean {} and std {}", low, high,
        mean, std);
  std::vector<float> values = uniform(s, 0, 1, g).to_vector<float>();
  for (float& v : values) {
    const double u = static_cast<double>(v) + 0x1p-25;  // draws are multiples of 2^-24; the middle of the cell
    v = static_cast<float>(std::clamp(mean + std * normal_quantile(from_p + (to_p - from_p) * u), low, high));
  }
  return from(values, s);
}

Tensor constant(const Shape& s, double value) { return full(s, value); }

Tensor torch_weight(const Shape& s, Generator& g) {
  const double b = 1 / std::sqrt(static_cast<double>(fan_in(s)));
  return uniform(s, -b, b, g);
}

Tensor torch_bias(const Shape& weight, Generator& g) {
  const double b = 1 / std::sqrt(static_cast<double>(fan_in(weight)));
  return uniform({weight[0]}, -b, b, g);
}

}  // namespace holt::nn::init
