#include "nn/models/residual_blocks.h"

#include "nn/init.h"

namespace holt::nn {
namespace {

Tensor identity_and_zeros(int64_t in, int64_t out) {
  std::vector<float> w(static_cast<size_t>(in * out), 0.f);
  for (int64_t i = 0; i < in; ++i) w[static_cast<size_t>(i * in + i)] = 1;
  return from(w, {out, 1, 1, in});
}

// relu(shortcut + drop_path(bn(conv(x)))); norm, sum and relu are one kernel unless paths are dropped.
Tensor join(Conv2d& conv, BatchNorm2d& bn, const Tensor& x, Tensor shortcut, DropPath& drop_path) {
  if (drop_path.p == 0 || !drop_path.training()) return bn(conv, x, {.relu = true, .residual = std::move(shortcut)});
  return relu(shortcut + drop_path(bn(conv, x, {})));
}

// Shortcut B: its convolution and norm, as an entry of two in the block's "downsample".
Tensor downsampled(Sequential& downsample, const Tensor& x) {
  auto& conv = dynamic_cast<Conv2d&>(downsample[0]);
  auto& bn = dynamic_cast<BatchNorm2d&>(downsample[1]);
  return bn(conv, x, {});
}

template <class Block>
void append_shared(Block& block, Parts& p) {
  if (block.downsample.size()) p.children.emplace_back("downsample", &block.downsample);
  if (block.drop_path.p > 0) p.children.emplace_back("drop_path", &block.drop_path);
}

}  // namespace

Conv2d residual_conv(int64_t in, int64_t out, int kernel, int stride, Generator& g) {
  Conv2d c(in, out, kernel, g, {.stride = stride, .padding = kernel / 2, .bias = false, .draw = false});
  c.weight = init::parameter(init::kaiming_normal(c.weight.shape(), g, init::Fan::out));
  return c;
}

BasicBlock::BasicBlock(int64_t in, int64_t out, int s, Shortcut shortcut, Generator& g)
    : conv1(residual_conv(in, out, 3, s, g)), bn1(out), conv2(residual_conv(out, out, 3, 1, g)), bn2(out), stride(s) {
  if (in == out && s == 1) return;
  if (shortcut == Shortcut::B)
    downsample.append(residual_conv(in, out, 1, s, g)).append(BatchNorm2d(out));
  else
    pad = identity_and_zeros(in, out);
}

Tensor BasicBlock::consume(Tensor&& x) {
  Tensor shortcut = downsample.size() ? downsampled(downsample, x) : pad ? conv2d(x, pad, {}, {.stride = stride}) : x;
  const Tensor y = bn1(conv1, x, {.relu = true});
  x = {};  // so that the shortcut, if it is x, may be overwritten
  return join(conv2, bn2, y, std::move(shortcut), drop_path);
}

Parts BasicBlock::parts() {
  Parts p{.constants = {{"pad", &pad}},
          .children = {{"conv1", &conv1}, {"bn1", &bn1}, {"conv2", &conv2}, {"bn2", &bn2}}};
  append_shared(*this, p);
  return p;
}

Bottleneck::Bottleneck(int64_t in, int64_t width, int s, Generator& g)
    : conv1(residual_conv(in, width, 1, 1, g)),
      bn1(width),
      conv2(residual_conv(width, width, 3, s, g)),
      bn2(width),
      conv3(residual_conv(width, kExpansion * width, 1, 1, g)),
      bn3(kExpansion * width) {
  if (in != kExpansion * width || s != 1)
    downsample.append(residual_conv(in, kExpansion * width, 1, s, g)).append(BatchNorm2d(kExpansion * width));
}

Tensor Bottleneck::consume(Tensor&& x) {
  Tensor shortcut = downsample.size() ? downsampled(downsample, x) : x;
  const Tensor y = bn1(conv1, x, {.relu = true});
  x = {};  // so that the shortcut, if it is x, may be overwritten
  return join(conv3, bn3, bn2(conv2, y, {.relu = true}), std::move(shortcut), drop_path);
}

Parts Bottleneck::parts() {
  Parts p{.children = {
              {"conv1", &conv1}, {"bn1", &bn1}, {"conv2", &conv2}, {"bn2", &bn2}, {"conv3", &conv3}, {"bn3", &bn3}}};
  append_shared(*this, p);
  return p;
}

}  // namespace holt::nn
