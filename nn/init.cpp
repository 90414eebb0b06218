#include "nn/init.h"

#include <cmath>

#include "kernels/parallel.h"

namespace holt::nn::init {
namespace {

// Φ⁻¹(p) as a quotient of two polynomials in each of three ranges, to one part in 10^16 (Wichura 1988, "Algorithm
// AS241: The Percentage Points of the Normal Distribution", PPND16). Coefficients from the highest power down.
constexpr double kMiddle[] = {2.5090809287301226727e+3, 3.3430575583588128105e+4, 6.7265770927008700853e+4,
                              4.5921953931549871457e+4, 1.3731693765509461125e+4, 1.9715909503065514427e+3,
                              1.3314166789178437745e+2, 3.3871328727963666080e+0};
constexpr double kUnderMiddle[] = {
    5.2264952788528545610e+3, 2.8729085735721942674e+4, 3.9307895800092710610e+4, 2.1213794301586595867e+4,
    5.3941960214247511077e+3, 6.8718700749205790830e+2, 4.2313330701600911252e+1, 1.0};
constexpr double kTail[] = {7.74545014278341407640e-4, 2.27238449892691845833e-2, 2.41780725177450611770e-1,
                            1.27045825245236838258e+0, 3.64784832476320460504e+0, 5.76949722146069140550e+0,
                            4.63033784615654529590e+0, 1.42343711074968357734e+0};
constexpr double kUnderTail[] = {
    1.05075007164441684324e-9, 5.47593808499534494600e-4, 1.51986665636164571966e-2, 1.48103976427480074590e-1,
    6.89767334985100004550e-1, 1.67638483018380384940e+0, 2.05319162663775882187e+0, 1.0};
constexpr double kFar[] = {2.01033439929228813265e-7, 2.71155556874348757815e-5, 1.24266094738807843860e-3,
                           2.65321895265761230930e-2, 2.96560571828504891230e-1, 1.78482653991729133580e+0,
                           5.46378491116411436990e+0, 6.65790464350110377720e+0};
constexpr double kUnderFar[] = {
    2.04426310338993978564e-15, 1.42151175831644588870e-7, 1.84631831751005468180e-5, 7.86869131145613259100e-4,
    1.48753612908506148525e-2,  1.36929880922735805310e-1, 5.99832206555887937690e-1, 1.0};

template <size_t N>
double polynomial(const double (&c)[N], double r) {
  double sum = c[0];
  for (size_t i = 1; i < N; ++i) sum = sum * r + c[i];
  return sum;
}

double normal_quantile(double p) {
  const double q = p - 0.5;
  if (std::fabs(q) <= 0.425) {
    const double r = 0.180625 - q * q;
    return q * polynomial(kMiddle, r) / polynomial(kUnderMiddle, r);
  }
  const double r = std::sqrt(-std::log(q < 0 ? p : 1 - p));
  const double x = r <= 5 ? polynomial(kTail, r - 1.6) / polynomial(kUnderTail, r - 1.6)
                          : polynomial(kFar, r - 5) / polynomial(kUnderFar, r - 5);
  return q < 0 ? -x : x;
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
  const Tensor t = uniform(s, 0, 1, g);
  float* const values = t.data<float>();
  parallel_for(t.numel(), 40, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const double u =
          static_cast<double>(values[i]) + 0x1p-25;  // draws are multiples of 2^-24; the middle of the cell
      values[i] = static_cast<float>(std::clamp(mean + std * normal_quantile(from_p + (to_p - from_p) * u), low, high));
    }
  });
  return t;
}

Tensor constant(const Shape& s, double value) { return full(s, value); }

Tensor undrawn(const Shape& s, Generator& g) {
  ++g.next;
  return zeros(s);
}

Tensor torch_weight(const Shape& s, Generator& g) {
  const double b = 1 / std::sqrt(static_cast<double>(fan_in(s)));
  return uniform(s, -b, b, g);
}

Tensor torch_bias(const Shape& weight, Generator& g) {
  const double b = 1 / std::sqrt(static_cast<double>(fan_in(weight)));
  return uniform({weight[0]}, -b, b, g);
}

}  // namespace holt::nn::init
