#include "nn/models/mlp.h"

namespace holt::nn {

Mlp::Mlp(ModelConfig c, int64_t hidden, Generator& g)
    : Cloneable(c), fc1(c.height * c.width * c.channels, hidden, g), fc2(hidden, hidden, g), fc(hidden, c.classes, g) {}

Tensor Mlp::features(const Tensor& x) {
  check_images(x);
  const Tensor flat = x.reshape({x.size(0), x.shape().product(1, 4)});
  return fc2(fc1(flat, Activation::relu), Activation::relu);
}

}  // namespace holt::nn
