// The two blocks of residual networks (He et al. 2016, "Deep Residual Learning for Image Recognition", fig. 5).
//
//   BasicBlock   y = relu(x' + bn(3×3(relu(bn(3×3(x))))))
//   Bottleneck   y = relu(x' + bn(1×1(relu(bn(3×3(relu(bn(1×1(x))))))))
//
// x' is the shortcut: x itself, or where the block changes the shape one of the paper's (§3.3)
//   A   every second pixel, missing channels zero: no parameters. The paper's choice for CIFAR.
//   B   1×1 convolution with batch norm, as in the ResNets for ImageNet
//
// The last batch norm, the sum and the ReLU are one kernel.
#pragma once
#include "nn/layers.h"
#include "nn/sequential.h"

namespace holt::nn {

/// Without bias, padded so that stride 1 keeps the size; weights as torchvision's ResNets draw them (kaiming normal,
/// fan out).
Conv2d residual_conv(int64_t in, int64_t out, int kernel, int stride, Generator&);

class BasicBlock : public Cloneable<BasicBlock> {
 public:
  enum class Shortcut { A, B };
  static constexpr int64_t kExpansion = 1;

  BasicBlock(int64_t in, int64_t out, int stride, Shortcut, Generator&);
  /// As the ResNets for ImageNet are built: shortcut B.
  BasicBlock(int64_t in, int64_t width, int stride, Generator& g) : BasicBlock(in, width, stride, Shortcut::B, g) {}
  Tensor forward(const Tensor& x) override { return consume(Tensor(x)); }
  Tensor consume(Tensor&& x) override;
  Parts parts() override;
  std::string label() const override { return "BasicBlock"; }

  Conv2d conv1;
  BatchNorm2d bn1;
  Conv2d conv2;
  BatchNorm2d bn2;
  Sequential downsample;  ///< option B where the shape changes, else empty
  Tensor pad;             ///< option A where the shape changes: a 1×1 convolution by [I; 0], never trained
  DropPath drop_path;     ///< of the residual branch
  int stride;
};

/// Its 3×3 convolution has the stride, as in torchvision ("v1.5"; the paper gives it to the first 1×1).
class Bottleneck : public Cloneable<Bottleneck> {
 public:
  static constexpr int64_t kExpansion = 4;  ///< output channels = 4·width

  Bottleneck(int64_t in, int64_t width, int stride, Generator&);
  Tensor forward(const Tensor& x) override { return consume(Tensor(x)); }
  Tensor consume(Tensor&& x) override;
  Parts parts() override;
  std::string label() const override { return "Bottleneck"; }

  Conv2d conv1;
  BatchNorm2d bn1;
  Conv2d conv2;
  BatchNorm2d bn2;
  Conv2d conv3;
  BatchNorm2d bn3;
  Sequential downsample;
  DropPath drop_path;
};

}  // namespace holt::nn
