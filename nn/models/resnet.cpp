#include "nn/models/resnet.h"

#include "nn/models/drop_path.h"

namespace holt::nn {
namespace {

template <class Block>
void append_stage(Sequential& layer, int64_t in, int64_t width, int blocks, int stride, double drop_path, int& index,
                  int total, Generator& g) {
  for (int i = 0; i < blocks; ++i, ++index) {
    Block block(i ? Block::kExpansion * width : in, width, i ? 1 : stride, g);
    const double p = drop_path_of(index, total, drop_path);
    if (p > 0) block.drop_path = DropPath(p, g);
    layer.append(std::move(block));
  }
}

template <class Block>
std::array<Sequential, 4> stages(const ResNetOptions& o, Generator& g) {
  std::array<Sequential, 4> layers;
  int index = 0, total = 0;
  for (int n : o.blocks) total += n;
  int64_t in = 64;
  for (int stage = 0; stage < 4; ++stage) {
    const int64_t width = int64_t{64} << stage;
    append_stage<Block>(layers[stage], in, width, o.blocks[stage], stage ? 2 : 1, o.drop_path, index, total, g);
    in = Block::kExpansion * width;
  }
  return layers;
}

}  // namespace

ResNet::ResNet(ModelConfig c, ResNetOptions o, Generator& g)
    : Cloneable(c),
      conv1(residual_conv(c.channels, 64, 7, 2, g)),
      bn1(64),
      maxpool(3, 2, 1),
      layers(o.bottleneck ? stages<Bottleneck>(o, g) : stages<BasicBlock>(o, g)),
      dropout(o.dropout, g),
      fc(512 * (o.bottleneck ? Bottleneck::kExpansion : BasicBlock::kExpansion), c.classes, g) {}

Tensor ResNet::features(const Tensor& x) {
  check_images(x);
  Tensor y = maxpool(bn1(conv1, x, {.relu = true}));
  for (Sequential& layer : layers) y = layer(std::move(y));
  return dropout(pool(y));
}

Parts ResNet::parts() {
  Parts p{.children = {{"conv1", &conv1}, {"bn1", &bn1}, {"maxpool", &maxpool}}};
  for (size_t i = 0; i < layers.size(); ++i) p.children.emplace_back(format("layer{}", i + 1), &layers[i]);
  p.children.emplace_back("pool", &pool);
  p.children.emplace_back("dropout", &dropout);
  p.children.emplace_back("fc", &fc);
  return p;
}

}  // namespace holt::nn
