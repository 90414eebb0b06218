// A convolution and the frozen batch norm behind it, for inference: the scale of each channel is multiplied into the
// weights; the shift, the residual and relu are the convolution's epilogue, so that its result is written once and
// never read. Wherever that cannot be (something is to be trained, or the device or dtype has no such epilogue) the two
// ops run one after the other.
#include <cmath>

#include "core/autocast.h"
#include "core/autograd.h"
#include "core/inference.h"
#include "core/ops.h"
#include "core/ops/conv2d_sizes.h"
#include "kernels/onednn.h"
#include "kernels/trace.h"

namespace holt {
namespace {

bool wanted(const Tensor& t) { return t && t.requires_grad(); }

// Whether all is as it should be and oneDNN can do it. What is not is left to the two ops, whose errors say what.
// x is in the dtype to compute in, w in that or another.
bool folds(const Tensor& x, const Tensor& w, const Conv2dOptions& o, const BatchNormWeights& norm,
           const Tensor& residual) {
  if (grad_enabled() && (wanted(x) || wanted(w) || wanted(norm.weight) || wanted(norm.bias) || wanted(residual)))
    return false;
  if (x.device().kind != Device::cpu || (x.dtype() != DType::f32 && x.dtype() != DType::bf16) || x.rank() != 4 ||
      w.rank() != 4)
    return false;
  if ((w.dtype() != DType::f32 && w.dtype() != DType::bf16) || o.groups != 1 || w.size(3) != x.size(3) ||
      x.numel() == 0 || w.numel() == 0)
    return false;
  if (o.dilation != 1 || o.stride < 1 || o.padding < 0 || x.size(1) + 2 * o.padding < w.size(1) ||
      x.size(2) + 2 * o.padding < w.size(2))
    return false;
  for (const Tensor* t : {&norm.weight, &norm.bias, &norm.running_mean, &norm.running_var})
    if (!*t || t->dtype() != DType::f32 || t->shape() != Shape{w.size(0)}) return false;
  return true;
}

// Whether nobody but this handle has t's elements, and they may be written.
bool sole_owner(const Tensor& t) {
  return t.impl().use_count() == 1 && t.storage().use_count() == 1 && !t.storage()->foreign();
}

}  // namespace

Tensor conv2d_batch_norm(const Tensor& given, const Tensor& w, Conv2dOptions options, const BatchNormWeights& norm,
                         double eps, bool relu, Tensor residual) {
  const bool casts = autocast_changes({&given, &w});
  const Tensor x = casts ? autocast(given) : given;
  const auto both = [&] {
    return batch_norm(conv2d(given, w, {}, options), norm.weight, norm.bias, norm.running_mean, norm.running_var,
                      {.training = false, .eps = eps, .relu = relu}, residual);
  };
  if ((!casts && w.dtype() != x.dtype()) || !folds(x, w, options, norm, residual)) return both();
  Conv2d p = conv2d_sizes(x, w, options);
  const Shape shape{p.n, p.out_h(), p.out_w(), p.cout};
  if (residual && (residual.shape() != shape || residual.dtype() != x.dtype())) return both();
  const TraceRange trace("conv2d_batch_norm");
  p.relu = relu;
  const auto channels = static_cast<size_t>(p.cout);
  std::vector<float> scale(channels), shift(channels);
  const float *weight = norm.weight.data<float>(), *bias = norm.bias.data<float>(),
              *mean = norm.running_mean.data<float>(), *var = norm.running_var.data<float>();
  for (size_t o = 0; o < channels; ++o) {
    const double s = weight[o] / std::sqrt(static_cast<double>(var[o]) + eps);
    scale[o] = static_cast<float>(s);
    shift[o] = static_cast<float>(bias[o] - mean[o] * s);
  }
  // The sum may take the residual's place: one tensor less to go through.
  const bool in_place = residual && sole_owner(residual);
  if (in_place) residual.bump_version();
  const Tensor y = in_place ? Tensor(residual.storage(), residual.offset(), shape, x.dtype()) : empty(shape, x.dtype());
  const Tensor master = w.to(DType::f32);
  const auto run = [&]<class T>(T) {
    conv2d_affine(Cpu{}, p, x.data<T>(), master.data<float>(), scale.data(), shift.data(), data_or_null<T>(residual),
                  y.data<T>(), kept_form(w, scale));
  };
  x.dtype() == DType::f32 ? run(float{}) : run(bf16{});
  return record("conv2d_batch_norm", {x, w, residual}, y, nullptr);
}

}  // namespace holt
