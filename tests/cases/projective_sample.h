// The truth about projective_sample: inputs, a double-precision reference from the definition, bytes and flops.
//
// The derivative by theta jumps where a sample lies on a pixel's row or column. So every theta here keeps its samples
// away from them (checked: off_grid), but for those that place samples *exactly* on pixels, in float too.
#pragma once
#include <array>

#include "core/ops.h"
#include "kernels/projective_sample.h"
#include "tests/harness/case.h"

namespace holt::test {

using Theta = std::array<double, 8>;

struct ProjectiveInput {
  int64_t images;
  int height, width, channels;
  const char* name;
  Theta theta;
  bool on_pixels = false;  // every sample lies on a pixel, exactly
};

inline const Theta kIdentityTheta{};
// A camera's: rotated by 12°, shrunk a little, shifted, seen at an angle.
inline const Theta kCameraTheta{-0.0708, -0.1975, 0.031, 0.1975, -0.0708, -0.0173, 0.1013, -0.0707};

/// Where output pixel (i, j) samples, in pixels; far outside if it lies behind the horizon. Also what the derivatives
/// need.
struct ProjectivePoint {
  double X, Y, D, row, column;
  template <class V>
  ProjectivePoint(const ProjectiveInput& in, const V& theta, int i, int j) {
    X = (2.0 * j + 1) / in.width - 1;
    Y = (2.0 * i + 1) / in.height - 1;
    D = 1 + theta[6] * X + theta[7] * Y;
    column = position((1 + theta[0]) * X + theta[1] * Y + theta[2], in.width);
    row = position(theta[3] * X + (1 + theta[4]) * Y + theta[5], in.height);
  }

 private:
  double position(double numerator, int size) const {
    if (D <= 1e-3) return -1e9;
    const double at = ((numerator / D + 1) * size - 1) / 2, whole = std::round(at);
    return std::abs(at - whole) < 1e-9 ? whole : at;  // on a pixel, but for the double's rounding
  }
};

/// The weight of a pixel `distance` from the sample, and its derivative as the sample moves right or down.
inline double tent(double distance) { return std::max(0.0, 1 - std::abs(distance)); }
inline double tent_slope(double distance) {
  return distance >= 0 && distance < 1 ? -1 : distance >= -1 && distance < 0 ? 1 : 0;
}

/// f(row, column) of each pixel that a sample may touch.
template <class F>
void for_touched(const ProjectiveInput& in, const ProjectivePoint& at, F&& f) {
  for (int r = 0; r < in.height; ++r)
    for (int c = 0; std::abs(at.row - r) <= 1 && c < in.width; ++c)
      if (std::abs(at.column - c) <= 1) f(r, c);
}

/// Smallest distance of a sample from a pixel's row or column.
inline double off_grid(const ProjectiveInput& in) {
  double least = 1;
  for (int i = 0; i < in.height; ++i)
    for (int j = 0; j < in.width; ++j) {
      const ProjectivePoint at(in, in.theta, i, j);
      if (at.D <= 1e-3 || std::abs(at.row) > in.height + 1 || std::abs(at.column) > in.width + 1) continue;
      for (double x : {at.row, at.column}) least = std::min(least, std::abs(x - std::round(x)));
    }
  return least;
}

/// A position is off by a few eps of the displacement that it was computed from: what theta moves, in pixels, over D.
/// A 16-bit value's own rounding is larger than that.
inline double position_condition(const ProjectiveInput& in, DType t) {
  if (t == DType::bf16 || t == DType::f16) return 1;
  double sum = 0, least = 1;
  for (double x : in.theta) sum += std::abs(x);
  for (int i : {0, in.height - 1})
    for (int j : {0, in.width - 1}) least = std::min(least, std::max(0.1, ProjectivePoint(in, in.theta, i, j).D));
  return 1 + sum * std::max(in.height, in.width) / 2 / least;
}

inline int64_t elements_of(const ProjectiveInput& in) { return in.images * in.height * in.width * in.channels; }
inline ProjectiveSample kernel_sizes(const ProjectiveInput& in) {
  return {in.images, in.height, in.width, in.channels};
}
inline Init theta_values(const ProjectiveInput& in) {
  return [theta = in.theta](int64_t i) { return theta[i]; };
}
inline std::string describe(const ProjectiveInput& in) {
  return format("[{}, {}, {}, {}] {}", in.images, in.height, in.width, in.channels, in.name);
}

inline Case projective_sample_forward_case(const ProjectiveInput& in, DType t, Init x = uniform_values(1)) {
  const DType sums = t == DType::f64 ? DType::f64 : DType::f32;
  Case c{"projective_sample_forward", describe(in), t};
  c.args = {{"x", Argument::in, t, elements_of(in), x},
            {"theta", Argument::in, sums, 8, theta_values(in)},
            {"y", Argument::out, t, elements_of(in), {}, 4, position_condition(in, t), in.on_pixels}};
  c.reference = [=](Values& v) {
    const int64_t C = in.channels, image = int64_t{in.height} * in.width * C;
    std::fill(v[2].begin(), v[2].end(), 0);
    for (int i = 0; i < in.height; ++i)
      for (int j = 0; j < in.width; ++j) {
        const ProjectivePoint at(in, v[1], i, j);
        for (int64_t n = 0; n < in.images; ++n)
          for (int64_t k = 0; k < C; ++k) {
            double& y = v[2][n * image + (int64_t{i} * in.width + j) * C + k];
            if (std::isnan(at.column)) y = at.column;
            for_touched(in, at, [&](int r, int s) {
              const double w = tent(at.row - r) * tent(at.column - s);
              if (w != 0) y += w * v[0][n * image + (int64_t{r} * in.width + s) * C + k];
            });
          }
      }
  };
  c.run = [=](Device d, const std::vector<void*>& p) {
    on(d, t, "projective_sample", Floats{}, [&]<class T>(auto dev, T) {
      projective_sample_forward(dev, kernel_sizes(in), as<const T>(p[0]), as<const acc_t<T>>(p[1]), as<T>(p[2]));
    });
  };
  c.rungs.assign(projective_sample_forward_rungs.names.begin(), projective_sample_forward_rungs.names.end());
  c.bytes = 2.0 * double(elements_of(in)) * double(size_of(t));
  c.flops = 8.0 * double(elements_of(in));
  return c;
}

// wants: which of dx, dtheta the caller asks for.
inline Case projective_sample_backward_case(const ProjectiveInput& in, DType t,
                                            std::array<bool, 2> wants = {true, true}) {
  check(in.on_pixels || off_grid(in) > 1e-5, "projective_sample: {} has a sample {} pixels from the grid", describe(in),
        off_grid(in));
  const DType sums = t == DType::f64 ? DType::f64 : DType::f32;
  const int64_t pixels = int64_t{in.height} * in.width;
  Case c{"projective_sample_backward", describe(in) + (wants[0] ? " dx" : "") + (wants[1] ? " dtheta" : ""), t};
  // A size of −1 is a null pointer. A pixel of dx may be sampled by all outputs.
  c.args = {{"dy", Argument::in, t, elements_of(in), uniform_values(2)},
            {"x", Argument::in, t, elements_of(in), uniform_values(3)},
            {"theta", Argument::in, sums, 8, theta_values(in)},
            {"dx", Argument::out, t, wants[0] ? elements_of(in) : -1, {}, pixels, position_condition(in, t)},
            {"dtheta",
             Argument::out,
             sums,
             wants[1] ? 8 : -1,
             {},
             std::max<int64_t>(elements_of(in), 1),
             position_condition(in, sums)}};
  c.reference = [=](Values& v) {
    auto &dy = v[0], &x = v[1], &theta = v[2], &dx = v[3], &dtheta = v[4];
    const int64_t C = in.channels, image = pixels * C;
    std::fill(dx.begin(), dx.end(), 0);
    std::fill(dtheta.begin(), dtheta.end(), 0);
    for (int i = 0; i < in.height; ++i)
      for (int j = 0; j < in.width; ++j) {
        const ProjectivePoint at(in, theta, i, j);
        double d_row = 0, d_column = 0;
        for_touched(in, at, [&](int r, int s) {
          const double wr = tent(at.row - r), wc = tent(at.column - s);
          for (int64_t n = 0; n < in.images; ++n)
            for (int64_t k = 0; k < C; ++k) {
              const double g = dy[n * image + (int64_t{i} * in.width + j) * C + k];
              const int64_t from = n * image + (int64_t{r} * in.width + s) * C + k;
              if (wants[0]) dx[from] += wr * wc * g;
              d_row += g * x[from] * tent_slope(at.row - r) * wc;
              d_column += g * x[from] * tent_slope(at.column - s) * wr;
            }
        });
        if (!wants[1] || at.D <= 1e-3) continue;
        // column = ((nx/D + 1)·W − 1)/2 with nx linear in theta, and row alike.
        const double u = d_column * in.width / 2 / at.D, w = d_row * in.height / 2 / at.D;
        const double nx = (1 + theta[0]) * at.X + theta[1] * at.Y + theta[2];
        const double ny = theta[3] * at.X + (1 + theta[4]) * at.Y + theta[5];
        const double coordinates[3] = {at.X, at.Y, 1};
        for (int k = 0; k < 3; ++k) {
          dtheta[k] += u * coordinates[k];
          dtheta[3 + k] += w * coordinates[k];
          if (k < 2) dtheta[6 + k] -= (u * nx + w * ny) / at.D * coordinates[k];
        }
      }
  };
  c.run = [=](Device d, const std::vector<void*>& p) {
    on(d, t, "projective_sample", Floats{}, [&]<class T>(auto dev, T) {
      using A = acc_t<T>;
      projective_sample_backward(dev, kernel_sizes(in), as<const T>(p[0]), as<const T>(p[1]), as<const A>(p[2]),
                                 as<T>(p[3]), as<A>(p[4]));
    });
  };
  c.rungs.assign(projective_sample_backward_rungs.names.begin(), projective_sample_backward_rungs.names.end());
  c.bytes = 3.0 * double(elements_of(in)) * double(size_of(t));
  c.flops = 20.0 * double(elements_of(in));
  return c;
}

inline std::vector<Case> projective_sample_cases(Scope scope) {
  std::vector<Case> cases;
  const auto add = [&](const ProjectiveInput& in, DType t) {
    cases.push_back(projective_sample_forward_case(in, t));
    cases.push_back(projective_sample_backward_case(in, t));
  };
  if (scope == Scope::bench) {
    for (DType t : {DType::f32, DType::bf16}) {
      add({256, 28, 28, 1, "glyphs", kCameraTheta}, t);
      add({32, 64, 64, 3, "photographs", kCameraTheta}, t);
    }
    return cases;
  }
  if (scope == Scope::race) {
    add({9, 9, 7, 3, "camera", kCameraTheta}, DType::f32);
    return cases;
  }
  for (DType t : {DType::f32, DType::bf16, DType::f16, DType::f64}) {
    add({2, 28, 28, 1, "glyphs", kCameraTheta}, t);
    add({9, 6, 7, 3, "camera", kCameraTheta}, t);  // one image more than share a thread
    for (int channels : {31, 33, 200}) add({1, 5, 6, channels, "camera", kCameraTheta}, t);
    add({1, 1, 1, 4, "camera", kCameraTheta}, t);
    add({0, 4, 4, 3, "camera", kCameraTheta}, t);
    add({1, 4, 4, 0, "camera", kCameraTheta}, t);
    add({2, 17, 9, 2, "identity", kIdentityTheta, true}, t);
    for (auto wants : {std::array{true, false}, {false, true}})
      cases.push_back(projective_sample_backward_case({2, 9, 11, 3, "camera", kCameraTheta}, t, wants));
  }
  for (DType t : {DType::f32, DType::f64}) {  // what is special is the geometry, not the dtype
    add({1, 8, 16, 2, "shift by 2 and -3", {0, 0, 0.25, 0, 0, -0.75, 0, 0}, true}, t);
    add({1, 12, 10, 2, "upside down", {-2.013, 0, 0.0021, 0, -1.987, 0.0107, 0, 0}}, t);
    add({1, 12, 10, 2, "enlarged", {-0.77, 0.05, 0.013, -0.03, -0.74, 0.0171, 0, 0}}, t);
    add({1, 12, 10, 2, "reduced", {3.1, 0, 0.013, 0, 2.77, 0.0171, 0, 0}}, t);
    add({1, 12, 10, 2, "all at one point", {-1, 0, 0.13, 0, -1, -0.11, 0, 0}}, t);
    add({1, 12, 10, 2, "outside", {0, 0, 5.1, 0, 0, 0, 0, 0}}, t);
    add({1, 9, 9, 2, "horizon", {0.1, 0.03, 0.0313, -0.02, 0.07, 0.0153, 1.3, 0.04}}, t);
    const auto nan = [](int64_t i) { return i % 7 == 3 ? std::nan("") : uniform_values(1)(i); };
    cases.push_back(projective_sample_forward_case({1, 6, 5, 2, "identity, NaN pixels", kIdentityTheta, true}, t, nan));
    cases.push_back(projective_sample_forward_case({1, 6, 5, 2, "NaN in theta", {std::nan("")}}, t));
  }
  add({1, 2, 1025, 1, "wide", {0.003569, 0.0043, 0.0117, 0.0031, -0.0201, 0.0213, 0.0023, 0.0017}}, DType::f32);
  return cases;
}

inline std::vector<Gradient> projective_sample_gradients() {
  const auto gradient = [](const ProjectiveInput& in) {
    check(off_grid(in) > 1e-3, "projective_sample: {} has a sample {} pixels from the grid", describe(in),
          off_grid(in));
    Generator g(1);
    return Gradient{format("projective_sample {}", describe(in)),
                    [](const std::vector<Tensor>& v) { return projective_sample(v[0], v[1]); },
                    {normal({in.images, in.height, in.width, in.channels}, 0, 1, g, DType::f64),
                     from(std::vector<double>(in.theta.begin(), in.theta.end()), {8})}};
  };
  return {gradient({2, 4, 5, 3, "camera", kCameraTheta}),
          gradient({1, 5, 4, 2, "reduced", {0.61, 0.05, 0.013, -0.07, 0.43, 0.0171, -0.2, 0.3}})};
}

static const CaseFamily projective_sample_family{"projective_sample", projective_sample_cases,
                                                 projective_sample_gradients};

}  // namespace holt::test
