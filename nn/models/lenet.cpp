#include "nn/models/lenet.h"

namespace holt::nn {
namespace {

// conv1 keeps the size, pool1 halves it, conv2 takes 4 off, pool2 halves.
int64_t side_after_pool2(int64_t side) { return (side / 2 - 4) / 2; }

int64_t flat_size(const ModelConfig& c) {
  check(c.height >= 12 && c.width >= 12, "lenet: images must be at least 12×12, got {}×{}", c.height, c.width);
  return side_after_pool2(c.height) * side_after_pool2(c.width) * 16;
}

}  // namespace

LeNet::LeNet(ModelConfig c, double dropout, Generator& g)
    : Cloneable(c),
      conv1(c.channels, 6, 5, g, {.padding = 2}),
      conv2(6, 16, 5, g),
      pool1(2),
      pool2(2),
      fc1(flat_size(c), 120, g),
      fc2(120, 84, g),
      drop(dropout, g),
      fc(84, c.classes, g) {}

Tensor LeNet::features(const Tensor& x) {
  check_images(x);
  // Pooling before the ReLU gives the same values and leaves it a quarter of the work.
  Tensor y = relu(pool1(conv1(x)));
  y = relu(pool2(conv2(y)));
  y = y.reshape({y.size(0), y.shape().product(1, 4)});
  return drop(fc2(fc1(y, Activation::relu), Activation::relu));
}

}  // namespace holt::nn
