#include "core/random.h"

#include <array>
#include <cmath>
#include <numbers>
#include <numeric>

#include "kernels/memory.h"
#include "kernels/parallel.h"
#include "kernels/philox.h"

namespace holt {
namespace {

// Element i is a function of (seed, stream, i) alone: `block(k)` gives an array, the elements from k times its length
// on. Drawn on the host and copied, so that every device gets the same values.
template <class Block>
Tensor draw(const char* op, const Shape& shape, DType dtype, Device device, const Block& block) {
  check(is_float(dtype), "{}: the dtype must be floating, got {}", op, dtype);
  Tensor host = empty(shape, dtype);
  on(Device::cpu, dtype, op, Floats{}, [&]<class T>(auto, T) {
    T* out = host.data<T>();
    constexpr int64_t kLength = std::tuple_size_v<decltype(block(0))>;
    const int64_t n = shape.numel();
    parallel_for((n + kLength - 1) / kLength, 40 * kLength, [&](int64_t begin, int64_t end) {
      for (int64_t k = begin; k < end; ++k) {
        const auto values = block(static_cast<uint64_t>(k));
        const int64_t first = k * kLength, count = std::min(kLength, n - first);
        for (int64_t i = 0; i < count; ++i) out[first + i] = T(static_cast<acc_t<T>>(values[static_cast<size_t>(i)]));
      }
    });
  });
  if (device == Device{}) return host;
  Tensor result = empty(shape, dtype, device);
  copy_bytes(device, result.raw(), Device::cpu, host.raw(), host.bytes());
  return result;
}

}  // namespace

Tensor uniform(Shape shape, double low, double high, Generator& g, DType dtype, Device device) {
  check(low <= high, "uniform: low must not exceed high, got {} and {}", low, high);
  const uint64_t seed = g.seed, stream = g.next++;
  return draw("uniform", shape, dtype, device, [=](uint64_t k) {
    const Philox4 r = philox(seed, stream, k);
    std::array<double, 4> values;
    for (size_t i = 0; i < 4; ++i) values[i] = low + (high - low) * static_cast<double>(uniform01(r.v[i]));
    return values;
  });
}

Tensor normal(Shape shape, double mean, double std, Generator& g, DType dtype, Device device) {
  check(std >= 0, "normal: the standard deviation must not be negative, got {}", std);
  const uint64_t seed = g.seed, stream = g.next++;
  return draw("normal", shape, dtype, device, [=](uint64_t k) {
    const Philox4 r = philox(seed, stream, k);
    // Box–Muller: two uniforms give two normals. 1 − u lies in (0, 1], so that the logarithm is finite.
    const double radius = std::sqrt(-2 * std::log(1 - (r.v[0] * 0x1p-32))),
                 angle = 2 * std::numbers::pi * (r.v[1] * 0x1p-32);
    return std::array{mean + std * radius * std::cos(angle), mean + std * radius * std::sin(angle)};
  });
}

std::vector<int64_t> permutation(int64_t n, Generator& g) {
  check(n >= 0, "permutation: n must not be negative, got {}", n);
  std::vector<int64_t> order(static_cast<size_t>(n));
  std::iota(order.begin(), order.end(), int64_t{0});
  const uint64_t stream = g.next++;
  for (int64_t i = n - 1; i > 0; --i) {  // Fisher–Yates; 64 random bits make the bias of the remainder 2^-64·i
    const Philox4 r = philox(g.seed, stream, static_cast<uint64_t>(i));
    const uint64_t bits = uint64_t{r.v[0]} << 32 | r.v[1];
    std::swap(order[static_cast<size_t>(i)], order[bits % static_cast<uint64_t>(i + 1)]);
  }
  return order;
}

}  // namespace holt
