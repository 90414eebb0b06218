// LeNet-5 (LeCun et al. 1998, §II.B) as it is used today: ReLU for the sigmoids, max pooling for the trained
// subsampling, and full connections from the first pooling to the second convolution. Padding keeps 28×28 images (the
// paper's digits were 28×28 in a frame of 32×32).
//
//   layer   kernel                  output for 28×28
//   conv1   5×5, 6, padding 2       28×28×6     ReLU
//   pool    2×2                     14×14×6
//   conv2   5×5, 16                 10×10×16    ReLU
//   pool    2×2                     5×5×16
//   fc1                             120         ReLU
//   fc2                             84          ReLU    = φ, after dropout
//   fc                              classes
#pragma once
#include "nn/model.h"

namespace holt::nn {

class LeNet : public Cloneable<LeNet, Model> {
 public:
  /// Images of at least 12×12.
  LeNet(ModelConfig, double dropout, Generator&);
  Tensor features(const Tensor& x) override;
  Linear& classifier() override { return fc; }
  Parts parts() override {
    return {.children = {{"conv1", &conv1},
                         {"pool1", &pool1},
                         {"conv2", &conv2},
                         {"pool2", &pool2},
                         {"fc1", &fc1},
                         {"fc2", &fc2},
                         {"drop", &drop},
                         {"fc", &fc}}};
  }

  Conv2d conv1, conv2;
  MaxPool2d pool1, pool2;
  Linear fc1, fc2;
  Dropout drop;
  Linear fc;
};

}  // namespace holt::nn
