#include "nn/models/resnet_cifar.h"

namespace holt::nn {
namespace {

Sequential stage(int blocks, int64_t in, int64_t out, int stride, BasicBlock::Shortcut s, Generator& g) {
  Sequential layers;
  for (int i = 0; i < blocks; ++i) layers.append(BasicBlock(i ? out : in, out, i ? 1 : stride, s, g));
  return layers;
}

}  // namespace

ResNetCifar::ResNetCifar(ModelConfig c, ResNetCifarOptions o, Generator& g)
    : Cloneable(c),
      conv1(residual_conv(c.channels, 16, 3, o.stem_stride, g)),
      bn1(16),
      layer1(stage(o.n, 16, 16, 1, o.shortcut, g)),
      layer2(stage(o.n, 16, 32, 2, o.shortcut, g)),
      layer3(stage(o.n, 32, 64, 2, o.shortcut, g)),
      fc(64, c.classes, g) {
  check(o.n > 0 && o.stem_stride > 0, "resnet: n and stem_stride must be positive, got {} and {}", o.n, o.stem_stride);
}

Tensor ResNetCifar::features(const Tensor& x) {
  check_images(x);
  Tensor y = bn1(conv1(x), {.relu = true});
  y = layer3(layer2(layer1(y)));
  return pool(y);
}

}  // namespace holt::nn
