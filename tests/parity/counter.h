// Numbers that Python (tests/parity/counter.py) and C++ compute alike: weights, images and labels of the comparisons
// with PyTorch, so that no file has to hold them. The formulas stand there.
#pragma once
#include <string>
#include <vector>

#include "kernels/hash.h"
#include "nn/weights/weights.h"

namespace holt::parity {

inline uint64_t counter_bits(uint64_t stream, uint64_t i) {
  uint64_t z = stream + (i + 1) * 0x9E3779B97F4A7C15u;
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
  z = (z ^ z >> 27) * 0x94D049BB133111EBu;
  return z ^ z >> 31;
}
inline float counter_uniform(uint64_t stream, int64_t i) {
  return static_cast<float>(counter_bits(stream, static_cast<uint64_t>(i)) >> 40) * 0x1p-24f;
}

/// In PyTorch's layout.
inline Tensor counter_weight(const std::string& name, const Shape& shape) {
  const Tensor t = empty(shape);
  float* const x = t.data<float>();
  const uint64_t stream = fnv1a(name);
  const int64_t n = t.numel();
  if (name.ends_with("running_var") || (shape.rank() == 1 && name.ends_with("weight"))) {
    for (int64_t i = 0; i < n; ++i) x[i] = counter_uniform(stream, i) + 0.5f;
    return t;
  }
  float scale = 1;
  if (shape.rank() == 1)
    scale = 0.125f;
  else if (shape.rank() == 3 || (shape.rank() == 2 && name.find("embedding") != std::string::npos))
    scale = 0.5f;
  else
    for (int64_t k = 1; 6 * k < shape.product(1, shape.rank()); k *= 4) scale *= 0.5f;
  for (int64_t i = 0; i < n; ++i) x[i] = (2 * counter_uniform(stream, i) - 1) * scale;
  return t;
}

/// [N, size, size, 3]
inline Tensor counter_images(int step, int64_t n, int64_t size, int seed = 0) {
  const Tensor t = empty({n, size, size, 3});
  const uint64_t stream = fnv1a(format("images.{}.{}", seed, step));
  for (int64_t i = 0; i < t.numel(); ++i) t.data<float>()[i] = (2 * counter_uniform(stream, i) - 1) * 2;
  return t;
}

inline Tensor counter_labels(int step, int64_t n, int64_t classes) {
  const Tensor t = empty({n}, DType::i64);
  const uint64_t stream = fnv1a(format("labels.{}", step));
  for (int64_t i = 0; i < n; ++i)
    t.data<int64_t>()[i] = static_cast<int64_t>(counter_bits(stream, static_cast<uint64_t>(i)) >> 33) % classes;
  return t;
}

/// Fills a model of a family that PyTorch's libraries have.
inline void fill_by_counter(nn::Model& model) {
  nn::State theirs;
  for (const auto& [name, t] : model.state()) theirs[name] = counter_weight(name, nn::their_shape(t.shape()));
  for (auto& [name, t] : theirs) t = nn::to_our_layout(t);
  model.load_state(theirs);
}

inline constexpr int kProjections = 4;

/// Sums of the elements with signs from the counter: of two tensors that differ by d, each differs by about ‖d‖.
/// `ours` is in holt's layout.
inline std::vector<double> projections(const std::string& name, const Tensor& ours) {
  const std::vector<double> x = nn::to_their_layout(ours.detach()).to_vector<double>();
  const uint64_t stream = fnv1a("project." + name);
  std::vector<double> sums(kProjections);
  for (size_t i = 0; i < x.size(); ++i) {
    const uint64_t z = counter_bits(stream, i);
    for (int k = 0; k < kProjections; ++k) sums[static_cast<size_t>(k)] += z >> (63 - k) & 1 ? -x[i] : x[i];
  }
  return sums;
}

}  // namespace holt::parity
