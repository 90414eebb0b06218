// A tensor's elements as a vector, and a tensor of elements that differ.
#pragma once
#include <cmath>
#include <vector>

#include "core/ops.h"

namespace holt::test {

inline std::vector<float> values(const Tensor& t) { return t.to_vector<float>(); }

inline Tensor ramp(Shape shape, DType dtype = DType::f32, Device device = {}) {
  std::vector<double> elements(static_cast<size_t>(shape.numel()));
  for (size_t i = 0; i < elements.size(); ++i) elements[i] = std::sin(1.0 + double(i * i));
  return from(elements, shape, dtype, device);
}

}  // namespace holt::test
