#include "nn/layers.h"

#include "kernels/philox.h"
#include "nn/init.h"

namespace holt::nn {
namespace {

void check_sizes(const char* layer, int64_t in, int64_t out) {
  check(in > 0 && out > 0, "{}: sizes must be positive, got {} in and {} out", layer, in, out);
}

std::string pool_label(const char* name, int kernel, int stride, int padding) {
  return format("{}({}×{}{}{})", name, kernel, kernel, stride != kernel ? format(", stride {}", stride) : "",
                padding ? format(", padding {}", padding) : "");
}

// A stream of its own for a layer that draws, so that clones in other threads do not disturb each other.
Generator derived(Generator& seed) {
  const Philox4 r = philox(seed.seed, seed.next++, 0);
  return Generator(uint64_t{r.v[0]} << 32 | r.v[1]);
}

// Weight and bias as torch.nn draws them, or not drawn.
void make(Tensor& weight, Tensor& bias, const Shape& shape, bool with_bias, bool draw, Generator& g) {
  weight = init::parameter(draw ? init::torch_weight(shape, g) : init::undrawn(shape, g));
  if (with_bias) bias = init::parameter(draw ? init::torch_bias(shape, g) : init::undrawn({shape[0]}, g));
}

}  // namespace

Linear::Linear(int64_t in, int64_t out, Generator& g, LinearOptions o) {
  check_sizes("Linear", in, out);
  make(weight, bias, {out, in}, o.bias, o.draw, g);
}

std::string Linear::label() const {
  return format("Linear({} → {}{})", in_features(), out_features(), bias ? "" : ", no bias");
}

Conv2d::Conv2d(int64_t in, int64_t out, int kernel, Generator& g, ConvOptions o)
    : stride(o.stride), padding(o.padding), dilation(o.dilation), groups(o.groups) {
  check_sizes("Conv2d", in, out);
  check(kernel > 0 && stride > 0 && padding >= 0 && dilation > 0,
        "Conv2d: kernel, stride and dilation must be positive and padding not negative, got {}, {}, {} and {}", kernel,
        stride, dilation, padding);
  check(groups > 0 && in % groups == 0 && out % groups == 0,
        "Conv2d: groups must be positive and divide the channels, got {} groups, {} in and {} out", groups, in, out);
  make(weight, bias, {out, kernel, kernel, in / groups}, o.bias, o.draw, g);
}

std::string Conv2d::label() const {
  return format("Conv2d({} → {}, {}×{}{}{}{}{}{})", weight.size(3) * groups, weight.size(0), weight.size(1),
                weight.size(2), stride != 1 ? format(", stride {}", stride) : "",
                padding ? format(", padding {}", padding) : "", dilation != 1 ? format(", dilation {}", dilation) : "",
                groups != 1 ? format(", {} groups", groups) : "", bias ? "" : ", no bias");
}

BatchNorm2d::BatchNorm2d(int64_t channels, BatchNormLayerOptions o) : momentum(o.momentum), eps(o.eps) {
  check(channels > 0, "BatchNorm2d: the number of channels must be positive, got {}", channels);
  weight = init::parameter(init::constant({channels}, 1));
  bias = init::parameter(init::constant({channels}, 0));
  running_mean = init::constant({channels}, 0);
  running_var = init::constant({channels}, 1);
}

Tensor BatchNorm2d::operator()(Conv2d& conv, const Tensor& x, Fused fused) {
  if (uses_batch() || conv.bias || Watch::active()) return (*this)(conv(x), fused);
  return watched(conv2d_batch_norm(x, conv.weight, {conv.stride, conv.padding, conv.dilation, conv.groups},
                                   {weight, bias, running_mean, running_var}, eps, fused.relu,
                                   std::move(fused.residual)));
}

Tensor BatchNorm2d::normalise(const Tensor& x, const Fused& fused) {
  return batch_norm(x, weight, bias, running_mean, running_var,
                    {.training = uses_batch(), .momentum = momentum, .eps = eps, .relu = fused.relu}, fused.residual);
}

void BatchNorm2d::reset_statistics() {
  running_mean = full(running_mean.shape(), 0, running_mean.dtype(), running_mean.device());
  running_var = full(running_var.shape(), 1, running_var.dtype(), running_var.device());
}

std::string BatchNorm2d::label() const {
  return format("BatchNorm2d({}{})", weight.size(0), statistics == Statistics::frozen ? ", frozen statistics" : "");
}

LayerNorm::LayerNorm(int64_t features, double e) : eps(e) {
  check(features > 0, "LayerNorm: the number of features must be positive, got {}", features);
  weight = init::parameter(init::constant({features}, 1));
  bias = init::parameter(init::constant({features}, 0));
}

std::string LayerNorm::label() const { return format("LayerNorm({})", weight.size(0)); }

Dropout::Dropout(double probability, Generator& seed) : p(probability), generator(derived(seed)) {
  check(p >= 0 && p < 1, "Dropout: the probability must be in [0, 1), got {}", p);
}

std::string Dropout::label() const { return format("Dropout({})", p); }

DropPath::DropPath(double probability, Generator& seed) : p(probability), generator(derived(seed)) {
  check(p >= 0 && p < 1, "DropPath: the probability must be in [0, 1), got {}", p);
}

Tensor DropPath::forward(const Tensor& x) {
  if (!training() || p == 0) return x;
  check(x.rank() >= 1, "DropPath: x must have a batch axis, got {}", x);
  Shape samples = x.shape();
  for (int axis = 1; axis < x.rank(); ++axis) samples.set(axis, 1);
  return x * dropout(full(samples, 1, x.dtype(), x.device()), p, generator);
}

std::string DropPath::label() const { return format("DropPath({})", p); }

std::string MaxPool2d::label() const { return pool_label("MaxPool2d", kernel, stride, padding); }

std::string AvgPool2d::label() const { return pool_label("AvgPool2d", kernel, stride, padding); }

Tensor Flatten::forward(const Tensor& x) {
  check(x.rank() >= 1, "Flatten: x must have a batch axis, got {}", x);
  return x.reshape({x.size(0), x.shape().product(1, x.rank())});
}

}  // namespace holt::nn
