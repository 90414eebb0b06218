// ResNet for small images (He et al. 2016, "Deep Residual Learning for Image Recognition", §4.2): 6n + 2 layers.
//
//   layer    output (32×32)   filters
//   conv1    32×32            3×3, 16
//   layer1   32×32            n blocks [3×3, 16; 3×3, 16]
//   layer2   16×16            n blocks [3×3, 32; 3×3, 32], the first with stride 2
//   layer3   8×8              n blocks [3×3, 64; 3×3, 64], the first with stride 2
//   pool     1×1              global average    = φ, 64 features
//   fc                        classes
//
// Every convolution is followed by batch norm, weights are drawn as in He et al. 2015 (kaiming normal; fan out, as
// torchvision's ResNets). Any image size, any number of channels; `stem_stride` 2 halves the image at once and quarters
// the work.
//
// The blocks and their shortcuts A and B: residual_blocks.h.
#pragma once
#include "nn/model.h"
#include "nn/models/residual_blocks.h"

namespace holt::nn {

struct ResNetCifarOptions {
  int n = 1;  ///< blocks in each of the three layers
  BasicBlock::Shortcut shortcut = BasicBlock::Shortcut::A;
  int stem_stride = 1;
};

class ResNetCifar : public Cloneable<ResNetCifar, Model> {
 public:
  ResNetCifar(ModelConfig, ResNetCifarOptions, Generator&);
  Tensor features(const Tensor& x) override;
  Linear& classifier() override { return fc; }
  Parts parts() override {
    return {.children = {{"conv1", &conv1},
                         {"bn1", &bn1},
                         {"layer1", &layer1},
                         {"layer2", &layer2},
                         {"layer3", &layer3},
                         {"pool", &pool},
                         {"fc", &fc}}};
  }

  Conv2d conv1;
  BatchNorm2d bn1;
  Sequential layer1, layer2, layer3;
  GlobalAvgPool pool;
  Linear fc;
};

}  // namespace holt::nn
