// A multi-layer perceptron on flattened images.
//
//   layer   output
//   input   [N, H·W·channels]
//   fc1     [N, hidden]   ReLU
//   fc2     [N, hidden]   ReLU     = φ
//   fc      [N, classes]
#pragma once
#include "nn/model.h"

namespace holt::nn {

class Mlp : public Cloneable<Mlp, Model> {
 public:
  Mlp(ModelConfig, int64_t hidden, Generator&);
  Tensor features(const Tensor& x) override;
  Linear& classifier() override { return fc; }
  Parts parts() override { return {.children = {{"fc1", &fc1}, {"fc2", &fc2}, {"fc", &fc}}}; }

  Linear fc1, fc2, fc;
};

}  // namespace holt::nn
