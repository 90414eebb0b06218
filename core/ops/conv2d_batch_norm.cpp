// A convolution and the frozen batch norm behind it, for inference: the scale and shift of each channel, the residual
// and relu are the convolution's epilogue, so that its result is written once and never read. Wherever that cannot be
// (something is to be trained, or the device or dtype has no such epilogue) the two ops run one after the other.
#include <cmath>

#include "core/autocast.h"
#include "core/autograd.h"
#include "core/ops.h"
#include "core/ops/conv2d_sizes.h"
#include "kernels/onednn.h"
#include "kernels/trace.h"

namespace holt {
namespace {

bool wanted(const Tensor& t) { return t && t.requires_grad(); }

// Whether all is as it should be and oneDNN can do it. What is not is left to the two ops, whose errors say what.
bool folds(const Tensor& x, const Tensor& w, const Conv2dOptions& o, const BatchNormWeights& norm,
           const Tensor& residual) {
  if (grad_enabled() && (wanted(x) || wanted(w) || wanted(norm.weight) || wanted(norm.bias) || wanted(residual)))
    return false;
  if (x.device().kind != Device::cpu || !onednn::computes(x.dtype()) || x.rank() != 4 || w.rank() != 4) return false;
  if (w.dtype() != x.dtype() || o.groups != 1 || w.size(3) != x.size(3) || x.numel() == 0 || w.numel() == 0)
    return false;
  if (o.dilation != 1 || o.stride < 1 || o.padding < 0 || x.size(1) + 2 * o.padding < w.size(1) ||
      x.size(2) + 2 * o.padding < w.size(2))
    return false;
  for (const Tensor* t : {&norm.weight, &norm.bias, &norm.running_mean, &norm.running_var})
    if (!*t || t->dtype() != DType::f32 || t->shape() != Shape{w.size(0)}) return false;
  return true;
}

}  // namespace

Tensor conv2d_batch_norm(const Tensor& x, const Tensor& w, Conv2dOptions options, const BatchNormWeights& norm,
                         double eps, bool relu, const Tensor& residual) {
  if (autocast_changes({&x, &w}))
    return conv2d_batch_norm(autocast(x), autocast_weight(w), options, norm, eps, relu, residual);
  const auto both = [&] {
    return batch_norm(conv2d(x, w, {}, options), norm.weight, norm.bias, norm.running_mean, norm.running_var,
                      {.training = false, .eps = eps, .relu = relu}, residual);
  };
  if (!folds(x, w, options, norm, residual)) return both();
  Conv2d p = conv2d_sizes(x, w, options);
  p.relu = relu;
  const Shape shape{p.n, p.out_h(), p.out_w(), p.cout};
  if (residual && (residual.shape() != shape || residual.dtype() != x.dtype())) return both();
  const TraceRange trace("conv2d_batch_norm");
  const Tensor y = empty(shape, x.dtype()), scale = empty({p.cout}), shift = empty({p.cout});
  const float *weight = norm.weight.data<float>(), *bias = norm.bias.data<float>(),
              *mean = norm.running_mean.data<float>(), *var = norm.running_var.data<float>();
  for (int64_t o = 0; o < p.cout; ++o) {
    const double s = weight[o] / std::sqrt(static_cast<double>(var[o]) + eps);
    scale.data<float>()[o] = static_cast<float>(s);
    shift.data<float>()[o] = static_cast<float>(bias[o] - mean[o] * s);
  }
  const auto run = [&]<class T>(T) {
    conv2d_affine(Cpu{}, p, x.data<T>(), w.data<T>(), scale.data<float>(), shift.data<float>(),
                  residual ? residual.data<T>() : nullptr, y.data<T>());
  };
  x.dtype() == DType::f32 ? run(float{}) : run(bf16{});
  return record("conv2d_batch_norm", {x, w, residual}, y, nullptr);
}

}  // namespace holt
