#include "data/camera.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "kernels/parallel.h"
#include "kernels/philox.h"

namespace holt::data {
namespace {

// Upper byte of the Philox stream, apart from the loader's; the rest tells an image's few draws from its noise.
constexpr uint64_t kStream = uint64_t{0xD3} << 56, kNoiseStream = kStream | 1;
constexpr int kRadius = 2;
constexpr double kTurn = 2 * std::numbers::pi;
constexpr double kWaves[2][2] = {{1.5, 0.5}, {-0.5, 2}};  // periods over a half image, along X and Y

struct Extent {
  int64_t height, width, channels;
  int64_t pixels() const { return height * width; }
  int64_t numbers() const { return pixels() * channels; }
};

double coordinate(int64_t i, int64_t n) { return (2 * static_cast<double>(i) + 1) / static_cast<double>(n) - 1; }
double position(double x, int64_t n) { return ((x + 1) * static_cast<double>(n) - 1) / 2; }

void warp(const Camera& camera, double angle, const uint8_t* image, Extent s, float* out) {
  // Turning the place that is looked up clockwise, Y being down, turns the object the other way.
  const double c = std::cos(angle) / camera.scale, k = std::sin(angle) / camera.scale, p = camera.projective;
  for (int64_t row = 0; row < s.height; ++row)
    for (int64_t column = 0; column < s.width; ++column, out += s.channels) {
      const double x = coordinate(column, s.width), y = coordinate(row, s.height), depth = 1 + p * x + p * y;
      const double fx = position((c * x - k * y) / depth, s.width), fy = position((c * y + k * x) / depth, s.height);
      const double x0 = std::floor(fx), y0 = std::floor(fy);
      std::fill_n(out, s.channels, 0.0f);
      for (int dy = 0; dy < 2; ++dy)
        for (int dx = 0; dx < 2; ++dx) {
          const double sx = x0 + dx, sy = y0 + dy;
          const bool inside =
              sx >= 0 && sx < static_cast<double>(s.width) && sy >= 0 && sy < static_cast<double>(s.height);
          if (!inside) continue;
          const double weight = (1 - std::abs(fx - sx)) * (1 - std::abs(fy - sy)) / 255;
          const uint8_t* from = image + (static_cast<int64_t>(sy) * s.width + static_cast<int64_t>(sx)) * s.channels;
          for (int64_t channel = 0; channel < s.channels; ++channel)
            out[channel] += static_cast<float>(weight * from[channel]);
        }
    }
}

// One axis: `step` numbers between neighbours, `size` of them; whatever lies outside is 0.
void blur_axis(const std::array<float, 2 * kRadius + 1>& kernel, const float* in, Extent s, bool vertical, float* out) {
  const int64_t size = vertical ? s.height : s.width, step = vertical ? s.width * s.channels : s.channels;
  for (int64_t i = 0; i < s.numbers(); ++i) {
    const int64_t at = i / step % size;
    float sum = 0;
    for (int64_t d = -kRadius; d <= kRadius; ++d)
      if (at + d >= 0 && at + d < size) sum += kernel[static_cast<size_t>(d + kRadius)] * in[i + d * step];
    out[i] = sum;
  }
}

std::array<float, 2 * kRadius + 1> gaussian(double sigma) {
  std::array<float, 2 * kRadius + 1> kernel{};
  double sum = 0;
  for (int d = -kRadius; d <= kRadius; ++d) sum += std::exp(-d * d / (2 * sigma * sigma));
  for (int d = -kRadius; d <= kRadius; ++d)
    kernel[static_cast<size_t>(d + kRadius)] = static_cast<float>(std::exp(-d * d / (2 * sigma * sigma)) / sum);
  return kernel;
}

void picture(const Camera& camera, const uint8_t* image, Extent s, uint64_t seed, uint64_t index, float* scratch,
             float* out) {
  const Philox4 draw = philox(seed, kStream, index);
  const double turn = camera.rotation + camera.rotation_range * (2.0 * uniform01(draw.v[0]) - 1);
  const double phase[2] = {kTurn * uniform01(draw.v[1]), kTurn * uniform01(draw.v[2])};
  warp(camera, turn * kTurn / 360, image, s, out);
  if (camera.blur > 0) {
    const auto kernel = gaussian(camera.blur);
    blur_axis(kernel, out, s, false, scratch);
    blur_axis(kernel, scratch, s, true, out);
  }
  Philox4 bits{};
  for (int64_t i = 0; i < s.numbers(); ++i) {
    if (i % 4 == 0)
      bits = philox(seed, kNoiseStream,
                    index * static_cast<uint64_t>((s.numbers() + 3) / 4) + static_cast<uint64_t>(i / 4));
    const int64_t pixel = i / s.channels;
    const double x = coordinate(pixel % s.width, s.width), y = coordinate(pixel / s.width, s.height);
    double waves = 0;
    for (int k = 0; k < 2; ++k) waves += std::sin(kTurn * (kWaves[k][0] * x + kWaves[k][1] * y) + phase[k]) / 2;
    const double behind = camera.background + camera.texture * waves, u = out[i];
    const double noise = camera.noise * (2.0 * uniform01(bits.v[i % 4]) - 1);
    out[i] = static_cast<float>(std::clamp(camera.gain * u + behind * (1 - u) + noise, 0.0, 1.0));
  }
}

}  // namespace

Tensor photograph(const Camera& camera, const Tensor& images, const std::vector<int64_t>& positions, uint64_t seed) {
  check(images.rank() == 4 && images.dtype() == DType::u8, "photograph: expected u8 images [N, H, W, C], got {}",
        images);
  const Extent s{images.size(1), images.size(2), images.size(3)};
  for (const int64_t p : positions)
    check(p >= 0 && p < images.size(0), "photograph: position {} is outside the {} images", p, images.size(0));
  const int64_t count = static_cast<int64_t>(positions.size());
  Tensor out = empty({count, s.height, s.width, s.channels});
  const uint8_t* from = images.data<uint8_t>();
  float* to = out.data<float>();
  parallel_for(count, s.numbers() * 16, [&](int64_t begin, int64_t end) {
    std::vector<float> scratch(static_cast<size_t>(s.numbers()));
    for (int64_t i = begin; i < end; ++i)
      picture(camera, from + positions[static_cast<size_t>(i)] * s.numbers(), s, seed,
              static_cast<uint64_t>(positions[static_cast<size_t>(i)]), scratch.data(), to + i * s.numbers());
  });
  return out;
}

}  // namespace holt::data
