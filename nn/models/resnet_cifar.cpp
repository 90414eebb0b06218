#include "nn/models/resnet_cifar.h"

#include "nn/init.h"

namespace holt::nn {
namespace {

Conv2d conv(int64_t in, int64_t out, int kernel, int stride, Generator& g) {
  Conv2d c(in, out, kernel, g, {.stride = stride, .padding = kernel / 2, .bias = false});
  c.weight = init::parameter(init::kaiming_normal(c.weight.shape(), g, init::Fan::out));
  return c;
}

Tensor identity_and_zeros(int64_t in, int64_t out) {
  std::vector<float> w(static_cast<size_t>(in * out), 0.f);
  for (int64_t i = 0; i < in; ++i) w[static_cast<size_t>(i * in + i)] = 1;
  return from(w, {out, 1, 1, in});
}

Sequential stage(int blocks, int64_t in, int64_t out, int stride, BasicBlock::Shortcut s, Generator& g) {
  Sequential layers;
  for (int i = 0; i < blocks; ++i) layers.append(BasicBlock(i ? out : in, out, i ? 1 : stride, s, g));
  return layers;
}

}  // namespace

BasicBlock::BasicBlock(int64_t in, int64_t out, int s, Shortcut shortcut, Generator& g)
    : conv1(conv(in, out, 3, s, g)), bn1(out), conv2(conv(out, out, 3, 1, g)), bn2(out), stride(s) {
  if (in == out && s == 1) return;
  if (shortcut == Shortcut::B)
    downsample.append(conv(in, out, 1, s, g)).append(BatchNorm2d(out));
  else
    pad = identity_and_zeros(in, out);
}

Tensor BasicBlock::forward(const Tensor& x) {
  const Tensor shortcut = downsample.size() ? downsample(x) : pad ? conv2d(x, pad, {}, {.stride = stride}) : x;
  const Tensor y = conv2(bn1(conv1(x), {.relu = true}));
  return bn2(y, {.relu = true, .residual = shortcut});
}

Parts BasicBlock::parts() {
  Parts p{.constants = {{"pad", &pad}},
          .children = {{"conv1", &conv1}, {"bn1", &bn1}, {"conv2", &conv2}, {"bn2", &bn2}}};
  if (downsample.size()) p.children.emplace_back("downsample", &downsample);
  return p;
}

ResNetCifar::ResNetCifar(ModelConfig c, ResNetCifarOptions o, Generator& g)
    : Cloneable(c),
      conv1(conv(c.channels, 16, 3, o.stem_stride, g)),
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
