#include "nn/sequential.h"

namespace holt::nn {

Sequential::Sequential(const Sequential& other) : Cloneable<Sequential>(other) {
  for (auto& layer : other.layers_) layers_.push_back(layer->copy());
}

Sequential& Sequential::operator=(Sequential other) {
  Module::operator=(other);
  layers_ = std::move(other.layers_);
  return *this;
}

Module& Sequential::operator[](size_t i) {
  check(i < layers_.size(), "Sequential: no layer {} of {}", i, layers_.size());
  return *layers_[i];
}

Tensor Sequential::consume(Tensor&& x) {
  Tensor y = std::move(x);
  for (auto& layer : layers_) y = (*layer)(std::move(y));
  return y;
}

Parts Sequential::parts() {
  Parts p;
  for (size_t i = 0; i < layers_.size(); ++i) p.children.emplace_back(std::to_string(i), layers_[i].get());
  return p;
}

}  // namespace holt::nn
