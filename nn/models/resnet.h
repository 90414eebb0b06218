// ResNet for ImageNet (He et al. 2016, "Deep Residual Learning for Image Recognition", table 1), torchvision's v1.5
// with its names and initialisation.
//
//   layer     output (224×224)   18            34            50                    101
//   conv1     112×112            7×7, 64, stride 2
//   maxpool   56×56              3×3, stride 2
//   layer1    56×56              2 basic, 64   3 basic, 64   3 bottlenecks, 64     3 bottlenecks, 64
//   layer2    28×28              2, 128        4, 128        4, 128                4, 128
//   layer3    14×14              2, 256        6, 256        6, 256                23, 256
//   layer4    7×7                2, 512        3, 512        3, 512                3, 512
//   pool      1×1                global average    = φ, 512 features (18, 34) or 2048 (50, 101)
//   fc        classes
//
// The first block of layers 2 to 4 has stride 2. Any image size and number of channels.
#pragma once
#include <array>

#include "nn/model.h"
#include "nn/models/residual_blocks.h"

namespace holt::nn {

struct ResNetOptions {
  std::array<int, 4> blocks{};
  bool bottleneck = false;
  double drop_path = 0;  ///< of the last block; block i of n has i/(n − 1) of it (Huang et al. 2016, the linear rule)
  double dropout = 0;    ///< before the classifier
};

class ResNet : public Cloneable<ResNet, Model> {
 public:
  ResNet(ModelConfig, ResNetOptions, Generator&);
  Tensor features(const Tensor& x) override;
  Linear& classifier() override { return fc; }
  Parts parts() override;

  Conv2d conv1;
  BatchNorm2d bn1;
  MaxPool2d maxpool;
  std::array<Sequential, 4> layers;
  GlobalAvgPool pool;
  Dropout dropout;
  Linear fc;
};

}  // namespace holt::nn
